"""The training loop: epochs and validations in turn."""

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice, pairwise
from statistics import median
from typing import TypeVar

from torch.profiler import record_function

from alexrep.compute import precision
from alexrep.evaluation.scores import Scores
from alexrep.feed.batches import Reader
from alexrep.runs.log import Row
from alexrep.training import epoch, groups, profiling, step, stop, validation
from alexrep.training.job import Job
from alexrep.training.throughput import Throughput, memory_bytes

Item = TypeVar("Item")


def train(job: Job) -> Scores:
    """Train from the job's position to the last epoch, or to where the recipe says to stop.

    Returns:
        The val scores after the last epoch.

    Raises:
        Interrupted: If a signal has come; a checkpoint has been saved.
        AlexrepError: If the loss is no longer finite.
    """
    groups.require_layers(job.recipe.schedule, job.layers)
    if job.network.missing and job.position.validated < 0:
        job.event(f"not compiled: {job.network.missing}; the run goes on")
    position, epochs = job.position, job.recipe.schedule.epochs
    scores, speed = None, Throughput().read()
    with Reader(job.train, job.threads) as reader, precision.settled(job.recipe.compute):
        # A run that was stopped while it scored val scores it before it goes on.
        while position.validated < position.epoch or (
            position.epoch < epochs and not position.stopped
        ):
            if position.validated == position.epoch:
                speed = epoch.run(job, reader)
            scores = validation.run(job, speed)
        with stop.saving_when_signalled(job):
            return scores or validation.score(job)


MOST = 8
"""Steps of a dry run."""
WARM_UP = 2
"""Steps of a dry run that are not timed: memory is taken, caches fill, algorithms are chosen."""


def rehearse(job: Job, steps: int | None = None, after: Callable[[], object] = lambda: None) -> Row:
    """Train for a few steps without writing anything, for a dry run.

    Args:
        job: The run; its weights change.
        steps: Steps to make, over the same batches again if need be; none: `MOST` of an epoch.
        after: Called after each step.

    Returns:
        `loss` of the last step, `steps`, `seconds` of the median step after the first two, which
        include start-up work, `seconds_least` and `seconds_most`, and `memory_bytes`.

    Raises:
        Interrupted: If a signal has come.
        AlexrepError: If the loss is not finite.
    """
    groups.require_layers(job.recipe.schedule, job.layers)
    planned = epoch.batches(job.recipe, job.train, job.position.epoch)
    planned = planned[:MOST] if steps is None else list(islice(cycle(planned), steps))
    ends: list[float] = []
    with (
        stop.saving_when_signalled(job),
        Reader(job.train, job.threads) as reader,
        precision.settled(job.recipe.compute),
    ):
        rates = epoch.begin(job)
        for indices, batch in _marked(epoch.shares(job, reader, planned)):
            outcome = step.make(job, indices, batch, rates)
            if job.lag:
                outcome.settle(job)
            ends.append(time.perf_counter())
            after()
            stop.raise_if_signalled(job)
    between = [end - start for start, end in pairwise(ends)]
    timed = between[WARM_UP - 1 :] or between
    measured: Row = {"loss": job.last_loss, "steps": len(ends)}
    for name, choose in (("seconds", median), ("seconds_least", min), ("seconds_most", max)):
        measured[name] = choose(timed) if timed else None
    return {**measured, "memory_bytes": memory_bytes(job.device)}


def _marked(items: Iterator[Item]) -> Iterator[Item]:
    """Yield `items`, with a mark in a trace for the time spent waiting for each."""
    while True:
        with record_function(profiling.WAIT):
            item = next(items, None)
        if item is None:
            return
        yield item
