"""What the first of a training's processes does: all that is written and printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from alexrep import files

from . import options
from .progress import is_quiet, meter

if TYPE_CHECKING:
    from alexrep.runs.folder import RunFolder
    from alexrep.settings import Recipe
    from alexrep.training.data import TrainingData
    from alexrep.training.run import Resources


def lead(
    ctx: typer.Context,
    chosen: Recipe,
    held: TrainingData,
    folder: RunFolder,
    data: Path,
    resources: Resources,
    signalled: Callable[[], str | None],
) -> None:
    """Train in the run's folder, unless it has finished; tell the others which."""
    from alexrep.training import run as training
    from alexrep.training.epoch import num_images, remark

    run = folder.path
    with files.locked(run), files.named(run):
        record = training.begin(chosen, held, folder)
        if options.is_finished(record, run):
            resources.processes.from_first(None)
        else:
            smaller = remark(chosen, held.train)
            if smaller is not None:
                options.note(smaller)
            total = chosen.schedule.epochs * num_images(chosen, held.train)
            with meter(total, "images", is_quiet(ctx)) as done:
                record = training.run(
                    chosen, held, folder, data, resources, done, signalled, done.before
                )
    if record is not None:
        options.say_counts(record, run)
        options.say_errors(record)
