"""One epoch of training: batches in order, a step for each, rows of the log."""

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
"""Rows of kind `step` in the log for each epoch, where the recipe does not say."""


def batches(recipe: Recipe, train: Split, epoch: int) -> list[NDArray[np.int64]]:
    """Return the image indices of each global batch of an epoch.

    With `limits.batches` the first batches repeat until the epoch is as long as without it.
    With more `limits.steps` than there are batches, all repeat in the same order, with the
    same draws.
    """
    indices, limits, size = subset.indices(train), recipe.limits, recipe.feed.batch_size
    ordered = order.epoch_order(recipe.feed.order, len(indices), recipe.seed, epoch)
    planned = order.batches(indices[ordered], size)
    if limits.batches is not None:
        first = order.batches(indices, size)[: limits.batches]
        planned = [first[number % len(first)] for number in range(len(planned))]
    return [planned[number % len(planned)] for number in range(limits.steps or len(planned))]


def num_images(recipe: Recipe, train: Split) -> int:
    """Return the number of training images in an epoch, repeated ones included."""
    return sum(len(batch) for batch in batches(recipe, train, 0))


def remark(recipe: Recipe, train: Split) -> str | None:
    """Return a warning if there are fewer training images than a batch has, else None."""
    batch_size, num_train = recipe.feed.batch_size, len(subset.indices(train))
    if num_train >= batch_size:
        return None
    more = f"{batch_size:,} is more than the {num_train:,} training images"
    return f"feed.batch_size: {more}: each step takes all of them"


def run(job: Job, reader: Reader) -> Row:
    """Train the rest of the present epoch.

    Returns:
        Images per second, seconds, and the fraction of time spent waiting for the feed, all
        since this start.

    Raises:
        Interrupted: If a signal has come to a process; a checkpoint has been saved.
        AlexrepError: If the loss is no longer finite.
    """
    position, recipe = job.position, job.recipe
    rates = begin(job)
    job.watcher.trains(position.epoch, rates.weights)
    planned = batches(recipe, job.train, position.epoch)
    every = recipe.log.every_steps or max(1, len(planned) // ROWS_AN_EPOCH)
    whole, recent, pending = Throughput(), Throughput(), deque[Outcome]()
    rest = shares(job, reader, planned[position.batch :])
    for indices, batch in whole.waiting(recent.waiting(rest)):
        input_images.show(job, batch, rates)
        pending.append(step.make(job, indices, batch, rates))
        for speed in (whole, recent):
            speed.count(len(indices))
        is_logged = position.batch % every == 0
        _settle(job, pending, 0 if is_logged else job.lag)
        if is_logged:
            _log_step(job, rates, recent)
        job.progress(len(indices))
        _save_or_leave(job, pending)
    _settle(job, pending, 0)
    position.epoch, position.batch = position.epoch + 1, 0
    return whole.read()


def begin(job: Job) -> Rates:
    """Set the optimiser's rates for the present epoch, and return them."""
    rates = rates_at(job.recipe.schedule, job.position.epoch, job.position.errors)
    set_rates(job.optimiser, rates.table(job.layers))
    return rates


def shares(
    job: Job, reader: Reader, planned: list[NDArray[np.int64]]
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Yield (indices of the global batch, this rank's decoded share)."""
    own = (indices[job.processes.share(len(indices))] for indices in planned)
    return zip(planned, reader.read(own), strict=True)


def _settle(job: Job, pending: deque[Outcome], most: int) -> None:
    """Read the losses of the oldest steps, until at most `most` steps are pending on the device."""
    while len(pending) > most:
        outcome = pending.popleft()
        if job.lag:
            outcome.settle(job)


def _log_step(job: Job, rates: Rates, recent: Throughput) -> None:
    """Write a row for the step that was read last."""
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


def _save_or_leave(job: Job, pending: deque[Outcome]) -> None:
    """Save if a checkpoint is due, and leave if a signal has come: all ranks at the same step."""
    signal, is_due = job.session.signal(), job.session.is_due(job.position.step)
    is_signalled, is_due = job.processes.any_of(signal is not None, is_due)
    if is_signalled or is_due:
        # No checkpoint is made before it is known that the last loss was finite.
        _settle(job, pending, 0)
        saving.save(job)
    if is_signalled:
        raise stop.interrupted(job, signal)
