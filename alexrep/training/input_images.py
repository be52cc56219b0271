"""Augmented inputs as pictures: what the network sees, every tenth epoch.

Shapes: N images, P side of the patch.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from alexrep.config.rates import Rates
from alexrep.feed.augment import pictures
from alexrep.feed.batches import Batch
from alexrep.training import step
from alexrep.training.job import Job

EVERY = 10
"""Epochs between two sheets; each shows the epoch's first batch."""
MOST = 16
"""Images in a sheet, at most."""


def show(job: Job, batch: Batch, rates: Rates) -> None:
    """Show the inputs of the next step at the start of every tenth epoch."""
    position = job.position
    is_time = position.batch == 0 and position.epoch % EVERY == 0
    if is_time and job.session.writes and len(batch.indices):
        job.session.show(inputs(job, batch, rates), position.step + 1)


def inputs(job: Job, batch: Batch, rates: Rates) -> NDArray[np.uint8]:
    """Return the first inputs of a batch as `pictures` shows them, uint8 (N, P, P, 3), N <= 16."""
    indices = batch.indices[:MOST]
    images = torch.from_numpy(batch.images[: len(indices)])
    return pictures(images, step.draw(job, indices), job.inputs, rates.noise)
