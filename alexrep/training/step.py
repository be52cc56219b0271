"""One step: each rank's part of a batch, sums over all ranks, one update.

Shapes: N images in this rank's part of the batch.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alexrep.compute.devices import widest_float
from alexrep.config.rates import Rates
from alexrep.errors import AlexrepError, mismatch
from alexrep.evaluation.scores import TOP, credit
from alexrep.feed import draws
from alexrep.feed.augment import augment
from alexrep.feed.batches import Batch
from alexrep.feed.draws import Draws
from alexrep.models import dropout
from alexrep.training.job import Job
from alexrep.training.optimiser import shape_gradients
from alexrep.training.pieces import of_batch


@dataclass
class Outcome:
    """Loss and credits of a step, read when the GPU is done."""

    step: int
    """Number of the step, from 1."""
    num_images: int
    """Images of the batch, over all processes."""
    sums: Tensor
    """This rank's part of the mean loss, and its top-1 and top-5 credits, (3,), in float64; on
    Apple's GPUs in float32."""
    loss: float = field(init=False)
    """Mean loss of the batch before the update, over all ranks; set by `settle`."""

    def __post_init__(self) -> None:
        """Start copying the sums to the host."""
        self._copied = None
        if self.sums.is_cuda:
            self.sums = self.sums.to("cpu", non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def settle(self, job: Job) -> None:
        """Wait for the sums, and add them to the position's.

        Raises:
            AlexrepError: If the loss is not finite; no checkpoint is made of this step.
        """
        if self._copied is not None:
            self._copied.synchronize()
        self.loss, credited, credited_top5 = job.processes.total(self.sums.tolist())
        if not math.isfinite(self.loss):
            last = "none since this start" if job.last_loss is None else f"{job.last_loss:.4f}"
            found = f"{self.loss} (the last finite one: {last})"
            advice = "train another run at a lower rate"
            where = f"step {self.step}"
            raise job.processes.common(
                AlexrepError(mismatch(where, "a finite loss", found, advice))
            )
        job.last_loss = self.loss
        job.watcher.loss(self.loss)
        job.position.loss_sum += self.loss * self.num_images
        job.position.credit_sum += credited
        job.position.top5_credit_sum += credited_top5


def make(job: Job, indices: NDArray[np.int64], batch: Batch, rates: Rates) -> Outcome:
    """Make one update.

    Args:
        job: The run.
        indices: Indices of the whole batch's images, over all processes.
        batch: This rank's part of it, in order; it may be empty.
        rates: Rates and noise of this epoch.

    Returns:
        Loss and credits; already read unless the device runs behind the host, as a GPU does.

    Raises:
        AlexrepError: If the loss is not finite; then the update is not made, or not kept.
    """
    position = job.position
    sums = torch.zeros(3, dtype=widest_float(job.device), device=job.device)
    job.gradients.clear()
    pieces = of_batch(len(indices), job.processes, job.recipe.compute)
    for number, piece in enumerate(pieces, start=1):
        if number == len(pieces):
            job.gradients.expect_last()
        sums += _learn(job, batch, piece, len(indices), rates)
    # Before any other sum: all processes must come to their sums in one order.
    job.gradients.send()
    outcome = Outcome(position.step + 1, len(indices), sums)
    if job.lag == 0:
        outcome.settle(job)
    job.gradients.finish()
    shape_gradients(job.optimiser, job.recipe.optimiser)
    job.optimiser.step()
    if job.average is not None:
        job.average.update()
    position.batch, position.step = position.batch + 1, position.step + 1
    position.seen += len(indices)
    return outcome


def draw(job: Job, indices: NDArray[np.int64]) -> Draws:
    """Draw what augmentation needs for images in the present epoch."""
    return draws.of_recipe(job.recipe, indices, job.train.side, job.position.epoch)


def _learn(
    job: Job, batch: Batch, piece: NDArray[np.int64], num_images: int, rates: Rates
) -> Tensor:
    """Add the gradients of a piece; return its part of the mean loss, and its credits, (3,)."""
    start = int(piece[0]) - job.processes.share(num_images).start if len(piece) else 0
    rows = slice(start, start + len(piece))
    indices = batch.indices[rows]
    images = torch.from_numpy(batch.images[rows]).to(job.device, non_blocking=True)
    labels = torch.from_numpy(job.labels[indices]).to(job.device, non_blocking=True)
    keys = dropout.keys(job.recipe.seed, job.position.step, piece)
    dropout.set_keys(job.model, keys.to(job.device, non_blocking=True))
    patches = augment(images, draw(job, indices), job.inputs, rates.noise, **job.network.takes)
    logits, *auxiliary = job.network.outputs(patches)
    loss = total = _loss(logits, labels, num_images)
    for others in auxiliary:
        total = total + job.network.auxiliary_weight * _loss(others, labels, num_images)
    torch.autograd.backward(total)
    credited = [credit(logits.detach(), labels, top).sum() for top in (1, TOP)]
    return torch.stack([loss.detach().to(widest_float(job.device)), *credited])


def _loss(logits: Tensor, labels: Tensor, num_images: int) -> Tensor:
    """Return a piece's part of the mean loss of a batch of `num_images`.

    Not the piece's mean: the sum over all pieces and processes is that of the whole batch.
    """
    return functional.cross_entropy(logits, labels, reduction="sum") / num_images
