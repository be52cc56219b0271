"""The training loop: batches in, updates out; no files but the log's rows.

Shapes: N images of a batch.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from alexrep.errors import AlexrepError, Interrupted, mismatch
from alexrep.evaluation.evaluate import evaluate
from alexrep.evaluation.scores import Scores, credit
from alexrep.feed import draws, order
from alexrep.feed.augment import Inputs, augment
from alexrep.feed.batches import Batch, Reader
from alexrep.models import dropout
from alexrep.recipe import Recipe
from alexrep.runs.log import Row
from alexrep.shards.read import Split
from alexrep.training import schedule
from alexrep.training.optimiser import Momentum2012, set_rates
from alexrep.training.schedule import Rates

ROWS_AN_EPOCH = 20
"""Rows of kind `step` in the log for each epoch."""


@dataclass
class Position:
    """Where a run is; with weights and velocities, all that a restart needs."""

    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Finished batches of the present epoch."""
    step: int = 0
    """Finished steps."""
    seen: int = 0
    """Training images seen in the present epoch."""
    loss_sum: float = 0.0
    """Sum of their losses."""
    credit_sum: float = 0.0
    """Sum of their top-1 credits."""
    best_error: float = math.inf
    """Lowest val top-1 error so far."""
    best_epoch: int = -1
    """Epoch that it was measured after."""
    validated: int = -1
    """Epoch after which val was last scored."""


@dataclass
class Job:
    """Everything that the loop works with."""

    recipe: Recipe
    model: nn.Module
    optimiser: Momentum2012
    train: Split
    val: Split
    inputs: Inputs
    device: torch.device
    threads: int
    position: Position
    record: Callable[[Row], None]
    """Takes a row of the log."""
    save: Callable[[bool], None]
    """Saves a checkpoint; told whether it is the best so far."""
    signalled: Callable[[], str | None]
    """Tells the signal that has come."""
    progress: Callable[[int], None]
    """Told the number of training images of each step."""
    layers: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Find the layers that rates are for."""
        self.layers = list(dict.fromkeys(group["layer"] for group in self.optimiser.param_groups))


def train(job: Job) -> Scores:
    """Train from the job's position to the last epoch.

    Returns:
        The val scores after the last epoch.

    Raises:
        Interrupted: If a signal has come; a checkpoint has been saved.
        AlexrepError: If the loss is no longer finite.
    """
    schedule.require_layers(job.recipe.schedule, job.layers)
    scores = _validate(job, None, 0.0) if job.position.validated < 0 else None
    with Reader(job.train, job.threads) as reader:
        while job.position.epoch < job.recipe.schedule.epochs:
            rates = schedule.rates_at(job.recipe.schedule, job.position.epoch)
            set_rates(job.optimiser, rates.table(job.layers))
            seconds = _epoch(job, reader, rates)
            scores = _validate(job, rates, seconds)
    return scores or _score_val(job)


def _epoch(job: Job, reader: Reader, rates: Rates) -> float:
    """Train the rest of the present epoch; return the seconds it took."""
    position, recipe = job.position, job.recipe
    places = order.epoch_order(recipe.feed.order, len(job.train), recipe.seed, position.epoch)
    batches = order.batches(places, recipe.feed.batch_size)
    every = max(1, len(batches) // ROWS_AN_EPOCH)
    start = time.perf_counter()
    for batch in reader.read(batches[position.batch :]):
        loss = _step(job, batch, rates)
        if position.batch % every == 0:
            job.record({"kind": "step", "epoch": position.epoch, "step": position.step, "loss": loss})
        job.progress(len(batch.places))
        _leave_if_signalled(job)
    position.epoch, position.batch = position.epoch + 1, 0
    return time.perf_counter() - start


def _step(job: Job, batch: Batch, rates: Rates) -> float:
    """Make one update and return the loss before it."""
    position, recipe = job.position, job.recipe
    feed = recipe.feed
    border = job.train.side - recipe.model.side
    drawn = draws.draw(
        batch.places, border, feed.draws, feed.reflect, recipe.seed, position.epoch
    )
    images = torch.from_numpy(batch.images).to(job.device)
    labels = torch.from_numpy(_labels(job, batch)).to(job.device)
    places = np.arange(len(labels))
    dropout.set_keys(job.model, dropout.keys(recipe.seed, position.step, places).to(job.device))
    logits = job.model(augment(images, drawn, job.inputs, rates.noise))
    loss = functional.cross_entropy(logits, labels)
    job.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    value = _finite(job, loss)
    job.optimiser.step()
    position.batch, position.step = position.batch + 1, position.step + 1
    position.seen += len(labels)
    position.loss_sum += value * len(labels)
    position.credit_sum += float(credit(logits.detach(), labels, 1).sum())
    return value


def _labels(job: Job, batch: Batch) -> NDArray[np.int64]:
    if not job.recipe.feed.shuffle_labels:
        return batch.labels
    return draws.shuffled_labels(job.train.labels, job.recipe.seed)[batch.places]


def _finite(job: Job, loss: Tensor) -> float:
    """Return the loss, unless it is no number: then end before the update."""
    value = float(loss.detach())
    if not math.isfinite(value):
        mean = job.position.loss_sum / max(1, job.position.seen)
        where = f"step {job.position.step + 1}"
        found = f"{value} (mean of this epoch so far {mean:.4f})"
        raise AlexrepError(mismatch(where, "a finite loss", found, "lower the rate or resume"))
    return value


def _leave_if_signalled(job: Job) -> None:
    signal = job.signalled()
    if signal is not None:
        job.save(False)
        where = f"step {job.position.step}"
        advice = "start again to go on"
        raise Interrupted(mismatch(where, "to go on", f"{signal}, saved", advice))


def _score_val(job: Job) -> Scores:
    size = job.recipe.feed.batch_size
    scores, _ = evaluate(
        job.model, job.val, job.inputs, "centre", threads=job.threads, batch_size=size
    )
    return scores


def _validate(job: Job, rates: Rates | None, seconds: float) -> Scores:
    """Score val by the centre patch, write the epoch's row, and save."""
    position, scores = job.position, _score_val(job)
    seen = position.seen
    job.record(
        {
            "kind": "epoch",
            "epoch": position.epoch,
            "step": position.step,
            "train_loss": position.loss_sum / seen if seen else None,
            "train_error": 1 - position.credit_sum / seen if seen else None,
            "val_loss": scores.loss,
            "val_top1_error": scores.top1_error,
            "val_top5_error": scores.top5_error,
            "weights_rate": rates.weights if rates else None,
            "biases_rate": rates.biases if rates else None,
            "noise": rates.noise if rates else None,
            "images_per_s": seen / seconds if rates and seconds else None,
            "seconds": seconds if rates else None,
        }
    )
    position.validated = position.epoch
    position.seen, position.loss_sum, position.credit_sum = 0, 0.0, 0.0
    is_best = scores.top1_error < position.best_error
    if is_best:
        position.best_error, position.best_epoch = scores.top1_error, position.epoch
    job.save(is_best)
    _leave_if_signalled(job)
    return scores


def position_row(position: Position) -> dict[str, int | float]:
    """Return a position as plain data for a checkpoint."""
    return asdict(position)
