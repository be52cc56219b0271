"""What the first of a training's processes does: all that is written and printed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .cli import options
from .cli.progress import is_quiet, meter

if TYPE_CHECKING:
    from alexrep.config.recipe import Recipe
    from alexrep.feed.dataset import TrainingData
    from alexrep.runs.folder import RunFolder
    from alexrep.training.job import Resources


def lead(
    ctx: typer.Context,
    chosen: Recipe,
    held: TrainingData,
    folder: RunFolder,
    data: Path,
    resources: Resources,
    signalled: Callable[[], str | None],
    mode: str,
) -> None:
    """Train in the run's folder, unless it has finished; tell the others which."""
    from alexrep import locks
    from alexrep.training import resume
    from alexrep.training import run as training
    from alexrep.training.epoch import num_images, remark

    run, group = folder.path, resources.processes
    with contextlib.ExitStack() as stack:
        with group.refusal_told():
            resume.require(folder, mode)
            owned = stack.enter_context(locks.held(run))
            record = resume.begin(training.make_plan(chosen, held), folder, mode)
            lost = training.restore(chosen, held, folder, data, owned) if record else []
        if lost:
            options.note(f"{run}: {', '.join(lost)} missing, made anew")
        if options.is_finished(record, run):
            group.from_first(None)
        else:
            for said in (resume.remark(folder), remark(chosen, held.train)):
                if said is not None:
                    options.note(said)
            total = chosen.schedule.epochs * num_images(chosen, held.train)
            with meter(total, "images", is_quiet(ctx)) as done:
                told = done, signalled, owned, done.before
                record = training.run(chosen, held, folder, data, resources, *told)
    options.say_errors(record, run)
