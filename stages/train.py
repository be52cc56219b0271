"""`alexrep train`: shards to a trained network."""

from typing import Annotated

import typer

from .cli import choices, options, printing, training_screen
from .cli.progress import is_quiet


def command(
    ctx: typer.Context,
    data: options.Data,
    run: options.RunFolder,
    recipe: choices.Recipe,
    setting: options.Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Short for schedule.epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Short for feed.batch_size.")] = None,
    seed: Annotated[int | None, typer.Option(help="Short for seed.")] = None,
    weights: options.Weights = None,
    mode: options.Resume = "auto",
    dry_run: options.DryRun = False,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Train a network by a recipe; started again, go on from the last checkpoint.

    A first Ctrl-C, SIGTERM or SIGUSR2 saves and leaves with exit code 75.
    \b
    Example: alexrep train data --run runs/first --recipe alexnet-2012
    """
    from alexrep import signals

    signal = ctx.with_resource(signals.flagged("step"))  # before torch, which takes seconds
    from alexrep.compute.devices import meeting
    from alexrep.config import overrides, recipes
    from alexrep.pool import default_threads
    from alexrep.training import run as training
    from alexrep.training.rehearsal import rehearse
    from alexrep.training.request import Request, Resources, require_runnable
    from alexrep.training.start import open_inputs

    options.require_run_folder(run, data)
    short = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "weights": weights}
    chosen = recipes.load(recipe, overrides.joined(short, setting or ()))
    require_runnable(chosen, inputs := open_inputs(data, chosen))
    with inputs, meeting(device, chosen.compute.towers) as (own, group):
        resources = Resources(own, workers or default_threads(), group, options.note)
        request = Request(chosen, inputs, run, resources, mode)
        if not group.leads:
            training.follow(request, signal, dry_run)
        elif options.is_finished(record := training.finished(request), run):
            options.say_errors(None if dry_run else record, run)
        elif dry_run:
            printing.say_rehearsal(rehearse(request, signal), chosen, run)
        else:
            with training_screen.shown(request, is_quiet(ctx)) as screen:
                record = training.lead(request, signal, screen.progress, screen.before, screen)
            options.say_errors(record, run)
