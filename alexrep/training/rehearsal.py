"""A dry run: a few steps of a training, without writing anything."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from alexrep.config.rates import rates_at
from alexrep.kernels import choice
from alexrep.runs import resume_conditions
from alexrep.runs.log import Row
from alexrep.runs.session import Session, Signal
from alexrep.shards import subset
from alexrep.training import epoch, loop, profiling, resume
from alexrep.training.job import Job, assemble
from alexrep.training.request import Request


@dataclass(frozen=True)
class Rehearsal:
    """What a training would do and take, after a few steps of it."""

    epoch: int
    step: int
    """Epoch and step that it would go on from."""
    rate: float
    """Learning rate of weights in that epoch."""
    num_images: int
    """Training images in an epoch."""
    steps_an_epoch: int
    num_val: int
    """Images of val, those in quarantine among them."""
    num_quarantined: int
    """Images of val in quarantine: each counts as an error."""
    kernels: str
    """Which form of the fused kernels runs, and why."""
    measured: Row
    """`loss`, `steps`, `seconds` of a step with its range, and `memory_bytes`; see
    `loop.rehearse`."""
    table: profiling.Table
    """Where the time of a step went, if it was traced; see `profiling.traced`."""


def rehearse(request: Request, signal: Signal, trace: Path | None = None) -> Rehearsal:
    """Make a few steps from where the run is, and write nothing but a trace that is asked for.

    Args:
        request: What is asked for.
        signal: Tells the signal that has come, as `signals.flagged` yields it.
        trace: Where to write a trace of `profiling.STEPS` steps, if it is wanted; of one process.

    Raises:
        DataError: If there are checkpoints, but none is whole.
        ManifestError: If the run may not go on like this; see `resume.find`.
        Interrupted: If a signal has come.
        AlexrepError: If the loss is not finite.
    """
    recipe, data, resources = request.recipe, request.data, request.resources
    conditions = resume_conditions.describe(recipe, resources.device, resources.processes.size)
    with resources.processes.failure_shared():
        start = resume.find(recipe, request.folder, conditions)
    if (text := epoch.remark(recipe, data.train)) is not None:
        resources.say(text)
    content = resources.processes.from_first(start.content if start else {})
    job = assemble(recipe, data, resources, content, Session(signal))
    position = job.position
    planned = Rehearsal(
        epoch=position.epoch,
        step=position.step,
        rate=rates_at(recipe.schedule, position.epoch, position.errors or (1.0,)).weights,
        num_images=epoch.num_images(recipe, data.train),
        steps_an_epoch=len(epoch.batches(recipe, data.train, 0)),
        num_val=len(subset.indices(data.val)) + data.val.num_quarantined,
        num_quarantined=data.val.num_quarantined,
        kernels=choice.explained(recipe.compute.kernels, resources.device),
        measured={},
        table={},
    )
    # The steps change the position that was just described.
    measured, table = _measured(job, trace)
    return replace(planned, measured=measured, table=table)


def _measured(job: Job, trace: Path | None) -> tuple[Row, profiling.Table]:
    if trace is None:
        return loop.rehearse(job), {}
    rows: list[Row] = []

    def work(num_steps: int, after: Callable[[], object]) -> None:
        rows.append(loop.rehearse(job, num_steps, after))

    table = profiling.traced(work, trace)
    return rows[0], table
