"""`alexrep eval`: the errors of a trained network, or of several as one."""

import typer

from .cli import choices, eval_options, options
from .cli.progress import is_quiet


def command(
    ctx: typer.Context,
    run: eval_options.Runs,
    data: eval_options.Data = None,
    original: eval_options.Original = None,
    edition: eval_options.Edition = None,
    partial: eval_options.Partial = False,
    views: eval_options.Views = None,
    ten_crop: eval_options.TenCrop = False,
    average: eval_options.Average = "probabilities",
    weights: eval_options.Weights = None,
    split: choices.Split = "val",
    labels: eval_options.Labels = None,
    subset: eval_options.Subset = False,
    checkpoint: choices.Checkpoint = "last",
    all_probabilities: eval_options.Everything = False,
    submission: eval_options.Submission = None,
    per_class: eval_options.PerClass = False,
    as_json: options.Json = False,
    batch_size: eval_options.BatchSize = 64,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Compute top-1 and top-5 error of a run, also while it trains; kept in RUN/results.

    Images that could not be prepared count as errors. A signal ends it with exit code 75. Of
    several runs the probabilities are averaged, too; that result is kept in the first one's.

    \b
    Under torchrun or srun each process scores a share of the images.
    Example: alexrep eval runs/first --data data --views centre,ten-crop
    """
    from alexrep import signals

    signalled = ctx.with_resource(signals.flagged())
    from .cli import ensembles, eval_request, evaluating

    options.require("--split", split, ("train", "val", "test"))
    options.require("--checkpoint", checkpoint, ("last", "best"))
    options.require("--average", average, ("probabilities", "logits"))
    kinds = eval_request.views_of(views or (), ten_crop)
    form = (checkpoint, all_probabilities or len(run) > 1, average, subset)
    images = eval_request.images_of(data, original, edition, partial)
    what = (tuple(run), images, split, tuple(kinds), form)
    request = eval_request.Request(*what, labels, submission)
    mixture = ensembles.mixture_of(request, weights)
    rest = (device, workers, batch_size, signalled, is_quiet(ctx))
    if scored := ensembles.score(request, mixture, *rest):
        evaluating.say(scored, request, as_json, per_class)
