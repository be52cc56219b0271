"""`alexrep train`: shards to a trained network."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: options.Data,
    run: Annotated[Path, typer.Option("--run", help="Folder of the run; gone on with if begun.")],
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or a TOML file.")],
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Field of the recipe, as path=value.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Short for schedule.epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Short for feed.batch_size.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for seed.")] = None,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Train a network by a recipe; started again, go on from the last checkpoint.

    A first SIGTERM, SIGINT or SIGUSR2 saves and leaves with exit code 75.

    \b
    Example: alexrep train data --run runs/first --recipe alexnet-2012
    """
    from alexrep.training import interruption

    # Before all else: torch takes seconds to import, and a signal may come meanwhile.
    signalled = ctx.with_resource(interruption.flagged())
    from alexrep import files
    from alexrep import recipe as recipes
    from alexrep.runs.folder import RunFolder
    from alexrep.training import data as inputs
    from alexrep.training import run as training

    from .devices import pick

    short = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    given = [f"{recipes.SHORT[key]}={value}" for key, value in short.items() if value is not None]
    chosen = recipes.load(recipe, (*given, *(setting or [])))
    resources = training.Resources(pick(device), workers or training.default_threads())
    held, folder = inputs.open_data(data), RunFolder(run)
    training.check(chosen, held)
    with files.locked(run), files.named(run):
        record = training.begin(chosen, held, folder)
        if not options.is_finished(record, run):
            with meter(chosen.schedule.epochs * len(held.train), "images", is_quiet(ctx)) as done:
                record = training.run(chosen, held, folder, data, resources, done, signalled)
    held.close()
    if record is not None:
        options.say_counts(record, run)
        options.say_errors(record)
