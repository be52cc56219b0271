"""`alexrep eval`: the errors of a trained network."""

import typer

from .cli import choices, eval_options, options
from .cli.progress import is_quiet


def command(
    ctx: typer.Context,
    run: options.Run,
    data: eval_options.Data,
    views: eval_options.Views = None,
    ten_crop: eval_options.TenCrop = False,
    average: eval_options.Average = "probabilities",
    split: choices.Split = "val",
    checkpoint: choices.Checkpoint = "last",
    subset: eval_options.Subset = False,
    all_probabilities: eval_options.Everything = False,
    per_class: eval_options.PerClass = False,
    as_json: options.Json = False,
    batch_size: eval_options.BatchSize = 64,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Compute top-1 and top-5 error of a run, also while it trains; kept in RUN/results.

    Images that could not be prepared count as errors. A signal ends it with exit code 75.

    \b
    Under torchrun or srun each process scores a share of the images.
    Example: alexrep eval runs/first --data data --views centre,ten-crop
    """
    from alexrep import signals

    signalled = ctx.with_resource(signals.flagged())
    from alexrep.compute.devices import meeting
    from alexrep.evaluation.task import Task
    from alexrep.pool import default_threads
    from alexrep.runs.folder import RunFolder

    from .cli import evaluating

    options.require("--split", split, ("train", "val", "test"))
    options.require("--checkpoint", checkpoint, ("last", "best"))
    options.require("--average", average, ("probabilities", "logits"))
    kinds, folder = evaluating.views_of(views or (), ten_crop), RunFolder(run)
    folder.read_recipe()
    task = Task(folder, data, split, kinds[0], checkpoint, all_probabilities, average, subset)
    with meeting(device) as (where, group):
        resources = (where, group, workers or default_threads(), batch_size)
        scoring = evaluating.Evaluation(*resources, signalled, is_quiet(ctx))
        if scored := scoring.results(task, kinds):
            evaluating.say(scored, run, as_json, per_class)
