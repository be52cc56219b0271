"""One epoch of training: its batches in order, a step for each, rows of the log."""

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from alexrep.config.rates import Rates, rates_at
from alexrep.config.recipe import Recipe
from alexrep.feed import order
from alexrep.feed.batches import Batch, Reader
from alexrep.runs.log import Row
from alexrep.shards import subset
from alexrep.shards.read import Split
from alexrep.training import input_images, saving, step, stop
from alexrep.training.groups import set_rates
from alexrep.training.job import Job
from alexrep.training.step import Outcome
from alexrep.training.throughput import Throughput, memory_bytes

ROWS_AN_EPOCH = 20
"""Rows of kind `step` in the log for each epoch."""


def batches(recipe: Recipe, train: Split, epoch: int) -> list[NDArray[np.int64]]:
    """Return the indices of each batch of an epoch, over all processes.

    Where the recipe takes the first batches only, these come over and over until the epoch
    is as long as it would have been. Where it wants more steps than there are batches, all
    come again in the same order, with the same draws.
    """
    indices, limits, size = subset.indices(train), recipe.limits, recipe.feed.batch_size
    ordered = order.epoch_order(recipe.feed.order, len(indices), recipe.seed, epoch)
    found = order.batches(indices[ordered], size)
    if limits.batches is not None:
        first = order.batches(indices, size)[: limits.batches]
        found = [first[number % len(first)] for number in range(len(found))]
    return [found[number % len(found)] for number in range(limits.steps or len(found))]


def num_images(recipe: Recipe, train: Split) -> int:
    """Return how many images an epoch counts, those that come again included."""
    return sum(len(batch) for batch in batches(recipe, train, 0))


def remark(recipe: Recipe, train: Split) -> str | None:
    """Say that the batches are smaller than the recipe's, if the training images are too few."""
    asked, held = recipe.feed.batch_size, len(subset.indices(train))
    if held >= asked:
        return None
    found = f"there are {held:,} training images: a batch is all of them"
    return f"feed.batch_size: {asked:,} asked for, but {found}"


def run(job: Job, reader: Reader) -> Row:
    """Train the rest of the present epoch.

    Returns:
        Images per second, seconds and share of waiting since this start.

    Raises:
        Interrupted: If a signal has come to a process; a checkpoint has been saved.
        AlexrepError: If the loss is no longer finite.
    """
    position, recipe = job.position, job.recipe
    rates = begin(job)
    planned = batches(recipe, job.train, position.epoch)
    every = max(1, len(planned) // ROWS_AN_EPOCH)
    whole, recent, pending = Throughput(), Throughput(), deque[Outcome]()
    coming = whole.waiting(recent.waiting(shares(job, reader, planned[position.batch :])))
    for indices, batch in coming:
        input_images.show(job, batch, rates)
        pending.append(step.make(job, indices, batch, rates))
        for speed in (whole, recent):
            speed.count(len(indices))
        is_told = position.batch % every == 0
        _settle(job, pending, 0 if is_told else job.lag)
        if is_told:
            _tell(job, rates, recent)
        job.progress(len(indices))
        _heed(job, pending)
    _settle(job, pending, 0)
    position.epoch, position.batch = position.epoch + 1, 0
    return whole.read()


def begin(job: Job) -> Rates:
    """Set the optimiser's rates for the present epoch, and return all that holds during it."""
    rates = rates_at(job.recipe.schedule, job.position.epoch, job.position.errors)
    set_rates(job.optimiser, rates.table(job.layers))
    return rates


def shares(
    job: Job, reader: Reader, planned: list[NDArray[np.int64]]
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Return the indices of each whole batch, and this process's share of its images."""
    own = (indices[job.processes.share(len(indices))] for indices in planned)
    return zip(planned, reader.read(own), strict=True)


def _settle(job: Job, pending: deque[Outcome], most: int) -> None:
    """Count in the oldest steps, until at most so many are left to the device."""
    while len(pending) > most:
        outcome = pending.popleft()
        if job.lag:
            outcome.settle(job)


def _tell(job: Job, rates: Rates, recent: Throughput) -> None:
    """Log the step that has just been settled."""
    rate, position = recent.read(), job.position
    recent.restart()
    job.session.record(
        {
            "kind": "step",
            "epoch": position.epoch,
            "step": position.step,
            "loss": job.last_loss,
            "weights_rate": rates.weights,
            "biases_rate": rates.biases,
            "images_per_s": rate["images_per_s"],
            "feed_wait_share": rate["feed_wait_share"],
            "memory_bytes": memory_bytes(job.device),
        }
    )


def _heed(job: Job, pending: deque[Outcome]) -> None:
    """Save if it is time to, and leave if a signal has come: all processes after one step."""
    signal, is_due = job.session.signal(), job.session.is_due(job.position.step)
    is_signalled, is_due = job.processes.any_of(signal is not None, is_due)
    if is_signalled or is_due:
        # No checkpoint is made before it is known that the last loss was finite.
        _settle(job, pending, 0)
        saving.save(job)
    if is_signalled:
        raise stop.interrupted(job, signal)
