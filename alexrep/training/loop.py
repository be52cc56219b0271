"""The training loop: batches in, updates out; no files but the log's rows.

Shapes: N images of a batch.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

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
from alexrep.runs.log import Row
from alexrep.settings import Recipe
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
    errors: list[float] = field(default_factory=list)
    """Val top-1 error before the first epoch and after each finished one."""


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
    """Layers that rates are for."""
    labels: NDArray[np.int64] = field(init=False)
    """Label of each training image, permuted if the recipe says so."""

    def __post_init__(self) -> None:
        """Find the layers and the labels."""
        self.layers = list(dict.fromkeys(group["layer"] for group in self.optimiser.param_groups))
        self.labels = self.train.labels
        if self.recipe.feed.shuffle_labels:
            self.labels = draws.shuffled_labels(self.labels, self.recipe.seed)


def train(job: Job) -> Scores:
    """Train from the job's position to the last epoch.

    Returns:
        The val scores after the last epoch.

    Raises:
        Interrupted: If a signal has come; a checkpoint has been saved.
        AlexrepError: If the loss is no longer finite.
    """
    schedule.require_layers(job.recipe.schedule, job.layers)
    position, epochs = job.position, job.recipe.schedule.epochs
    scores, num_images, seconds = None, 0, 0.0
    with Reader(job.train, job.threads) as reader:
        # A run that was stopped while it scored val scores it before it goes on.
        while position.validated < position.epoch or position.epoch < epochs:
            if position.validated == position.epoch:
                num_images, seconds = _epoch(job, reader)
            scores = _validate(job, num_images, seconds)
    return scores or _score_val(job)


def _epoch(job: Job, reader: Reader) -> tuple[int, float]:
    """Train the rest of the present epoch; return its images and the seconds they took."""
    position, recipe = job.position, job.recipe
    rates = schedule.rates_at(recipe.schedule, position.epoch, position.errors)
    set_rates(job.optimiser, rates.table(job.layers))
    places = order.epoch_order(recipe.feed.order, len(job.train), recipe.seed, position.epoch)
    batches = order.batches(places, recipe.feed.batch_size)
    every = max(1, len(batches) // ROWS_AN_EPOCH)
    start, seen = time.perf_counter(), position.seen
    for batch in reader.read(batches[position.batch :]):
        loss = _step(job, batch, rates)
        if position.batch % every == 0:
            place = {"epoch": position.epoch, "step": position.step}
            job.record({"kind": "step", **place, "loss": loss})
        job.progress(len(batch.places))
        _leave_if_signalled(job)
    position.epoch, position.batch = position.epoch + 1, 0
    return position.seen - seen, time.perf_counter() - start


def _step(job: Job, batch: Batch, rates: Rates) -> float:
    """Make one update and return the loss before it."""
    position, recipe = job.position, job.recipe
    feed = recipe.feed
    border = job.train.side - recipe.model.side
    drawn = draws.draw(batch.places, border, feed.draws, feed.reflect, recipe.seed, position.epoch)
    images = torch.from_numpy(batch.images).to(job.device)
    labels = torch.from_numpy(job.labels[batch.places]).to(job.device)
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


def _finite(job: Job, loss: Tensor) -> float:
    """Return the loss, unless it is no number: then end before the update."""
    value = float(loss.detach())
    if not math.isfinite(value):
        mean = job.position.loss_sum / max(1, job.position.seen)
        where = f"step {job.position.step + 1}"
        found = f"{value} (mean of this epoch so far {mean:.4f})"
        advice = "train another run at a lower rate"
        raise AlexrepError(mismatch(where, "a finite loss", found, advice))
    return value


def _leave_if_signalled(job: Job, is_saved: bool = False) -> None:
    signal = job.signalled()
    if signal is not None:
        if not is_saved:
            job.save(False)
        where = f"step {job.position.step}"
        advice = "start again to go on"
        raise Interrupted(mismatch(where, "to go on", f"{signal}, saved", advice))


def _score_val(job: Job) -> Scores:
    size = job.recipe.feed.batch_size
    scores, _ = evaluate(
        job.model,
        job.val,
        job.inputs,
        "centre",
        threads=job.threads,
        batch_size=size,
        done=lambda _: _leave_if_signalled(job),
    )
    return scores


def _validate(job: Job, num_images: int, seconds: float) -> Scores:
    """Score val by the centre patch, write the epoch's row, and save."""
    position, scores = job.position, _score_val(job)
    job.record(_epoch_row(job, scores, num_images, seconds))
    position.errors.append(scores.top1_error)
    position.validated = position.epoch
    position.seen, position.loss_sum, position.credit_sum = 0, 0.0, 0.0
    is_best = scores.top1_error < position.best_error
    if is_best:
        position.best_error, position.best_epoch = scores.top1_error, position.epoch
    job.save(is_best)
    _leave_if_signalled(job, is_saved=True)
    return scores


def _epoch_row(job: Job, scores: Scores, num_images: int, seconds: float) -> Row:
    """Describe the epoch that has ended; before training there is none."""
    position, seen = job.position, job.position.seen
    ended = position.epoch - 1
    rates = None
    if ended >= 0:
        rates = schedule.rates_at(job.recipe.schedule, ended, position.errors[: ended + 1])
    return {
        "kind": "epoch",
        "epoch": position.epoch,
        "step": position.step,
        "train_loss": position.loss_sum / seen if seen else None,
        "train_error": (seen - position.credit_sum) / seen if seen else None,
        "val_loss": scores.loss,
        "val_top1_error": scores.top1_error,
        "val_top5_error": scores.top5_error,
        "weights_rate": rates.weights if rates else None,
        "biases_rate": rates.biases if rates else None,
        "noise": rates.noise if rates else None,
        # Of the images since the last start, which a restart may have cut short.
        "images_per_s": num_images / seconds if num_images else None,
        "seconds": seconds if num_images else None,
    }
