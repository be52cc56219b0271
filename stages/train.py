"""`alexrep train`: shards to a trained network."""

import contextlib
from typing import Annotated

import typer

from .cli import options


def command(
    ctx: typer.Context,
    data: options.Data,
    run: options.RunFolder,
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or a TOML file.")],
    setting: options.Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Short for schedule.epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Short for feed.batch_size.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for seed.")] = None,
    mode: options.Resume = "auto",
    dry_run: options.DryRun = False,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Train a network by a recipe; started again, go on from the last checkpoint.

    A first SIGTERM, SIGINT or SIGUSR2 saves and leaves with exit code 75.

    \b
    Example: alexrep train data --run runs/first --recipe alexnet-2012
    """
    from alexrep import signals

    # Before all else: torch takes seconds to import, and a signal may come meanwhile.
    signalled = ctx.with_resource(signals.flagged())
    from alexrep import pool
    from alexrep.compute.devices import meeting
    from alexrep.config import recipes
    from alexrep.feed import dataset as inputs
    from alexrep.runs.folder import RunFolder
    from alexrep.training import job
    from alexrep.training import run as training

    from .dry_run import rehearse
    from .together import lead

    options.require_apart(run, data)
    short = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    chosen = recipes.load(recipe, recipes.together(short, setting or ()))
    held, folder = inputs.open_data(data, chosen.limits.classes), RunFolder(run)
    training.check(chosen, held)
    with contextlib.closing(held), meeting(device, chosen.compute.towers) as (own, group):
        resources = job.Resources(own, workers or pool.default_threads(), group, options.note)
        if group.leads and dry_run:
            rehearse(chosen, held, folder, resources, mode)
        elif group.leads:
            lead(ctx, chosen, held, folder, data, resources, signalled, mode)
        else:
            training.follow(chosen, held, resources, signalled, dry_run)
