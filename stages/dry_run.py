"""`alexrep train --dry-run`: what a training would do and take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .cli import options
from .cli.progress import span

if TYPE_CHECKING:
    from alexrep.config.recipe import Recipe
    from alexrep.feed.dataset import TrainingData
    from alexrep.runs.folder import RunFolder
    from alexrep.runs.log import Row
    from alexrep.training.job import Resources


def rehearse(
    chosen: Recipe, held: TrainingData, folder: RunFolder, resources: Resources, mode: str
) -> None:
    """Print what a training would do and take, after a few steps of it; write nothing."""
    from alexrep.training import resume
    from alexrep.training import run as training

    with resources.processes.refusal_told():
        finished, _ = resume.foresee(training.make_plan(chosen, held), folder, mode)
    if options.is_finished(finished, folder.path):
        resources.processes.from_first(None)
        return
    told = training.rehearse(chosen, held, folder, resources)
    typer.echo(forecast(chosen, held, told))
    typer.echo(f"{folder.path}: a dry run, nothing is written")


def forecast(chosen: Recipe, held: TrainingData, told: Row) -> str:
    """Write what is known of a run after its first steps."""
    from alexrep.training import epoch

    steps, epochs = len(epoch.batches(chosen, held.train, 0)), chosen.schedule.epochs
    begins = f"from epoch {told['epoch']}, step {told['step']}" if told["step"] else "from nothing"
    lines = [
        f"begins: {begins}",
        f"train: {epoch.num_images(chosen, held.train):,} images an epoch, {steps:,} steps",
        f"val: {len(held.val):,} images",
        f"loss: {told['loss']:.4f} after {told['steps']} steps",
        f"memory: {float(str(told['memory_bytes'])) / 1e9:.2f} GB",
    ]
    if told["seconds"] is not None:
        seconds, rate = float(str(told["seconds"])), chosen.feed.batch_size
        left = span(seconds * steps * epochs)
        lines.append(f"speed: {rate / seconds:,.1f} images/s; {epochs} epochs without val: {left}")
    return "\n".join(lines)
