"""`alexrep eval`: the errors of a trained network."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import choices, options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    run: options.Run,
    data: Annotated[Path, typer.Option("--data", help="Folder with the shards.")],
    ten_crop: Annotated[
        bool, typer.Option("--ten-crop", help="Average ten patches instead of the centre one.")
    ] = False,
    split: choices.Split = "val",
    checkpoint: choices.Checkpoint = "last",
    every: Annotated[
        bool, typer.Option("--all-probabilities", help="Keep them for all classes, as float16.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 64,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Compute top-1 and top-5 error of a run, also while it trains; kept in RUN/results.

    Images that could not be prepared count as errors. A signal ends it with exit code 75.

    \b
    Example: alexrep eval runs/first --data data --ten-crop
    """
    from alexrep import signals

    signalled = ctx.with_resource(signals.flagged())
    from alexrep.compute.devices import pick
    from alexrep.evaluation import text
    from alexrep.evaluation.task import Task, find, num_images, score
    from alexrep.pool import default_threads
    from alexrep.runs import results
    from alexrep.runs.folder import RunFolder

    options.require("--split", split, ("train", "val", "test"))
    options.require("--checkpoint", checkpoint, ("last", "best"))
    folder, where, threads = RunFolder(run), pick(device), workers or default_threads()
    folder.read_recipe()
    task = Task(folder, data, split, "ten-crop" if ten_crop else "centre", checkpoint, every)
    if result := find(task, options.note):
        options.note(f"{task.path}: scored before, nothing to do")
    else:
        with meter(num_images(task), "images", is_quiet(ctx)) as done:
            scored = score(task, where, threads, batch_size, signals.watch(done, signalled))
        result = scored.result
        with options.kept_if_allowed(task.path):
            result = results.keep(scored)
    typer.echo(text.document(result) if as_json else text.line(result))
