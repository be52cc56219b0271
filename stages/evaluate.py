"""`alexrep eval`: the errors of a trained network."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    run: options.Run,
    data: Annotated[Path, typer.Option("--data", help="Folder with the shards.")],
    ten_crop: Annotated[
        bool, typer.Option("--ten-crop", help="Average ten patches instead of the centre one.")
    ] = False,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    checkpoint: Annotated[str, typer.Option(help="last or best.")] = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 64,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Compute top-1 and top-5 error of a run; kept in RUN/results.

    Images that could not be prepared count as errors. A signal ends it with exit code 75.

    \b
    Example: alexrep eval runs/first --data data --ten-crop
    """
    from alexrep import signals

    signalled = ctx.with_resource(signals.flagged())
    from alexrep import locks
    from alexrep.compute.devices import pick
    from alexrep.evaluation import text
    from alexrep.evaluation.task import Task, find, num_images, score
    from alexrep.pool import default_threads
    from alexrep.runs.folder import RunFolder

    options.require("--split", split, ("train", "val", "test"))
    options.require("--checkpoint", checkpoint, ("last", "best"))
    folder, chosen = RunFolder(run), pick(device)
    folder.read_recipe()
    task = Task(folder, data, split, "ten-crop" if ten_crop else "centre", checkpoint)
    with locks.held(run) as owned:
        found = find(task)
        if found is not None:
            options.note(f"{folder.result(split, task.views)}: scored before, nothing to do")
        else:
            threads = workers or default_threads()
            with meter(num_images(task), "images", is_quiet(ctx)) as done:
                look = signals.watch(done, signalled, owned)
                found = score(task, chosen, threads, batch_size, look, owned)
    typer.echo(text.document(found) if as_json else text.line(found))
