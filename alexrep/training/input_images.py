"""Augmented inputs as pictures: what the network sees, every tenth epoch.

Shapes: N images, P side of the patch.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from alexrep.config.rates import Rates
from alexrep.feed.augment import augment
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
    """Return the first inputs of a batch as they are without the mean taken away.

    Returns:
        RGB in grey levels, uint8 (N, P, P, 3), N at most 16; what noise has put beyond black
        or white is cut off.
    """
    indices = batch.indices[:MOST]
    images = torch.from_numpy(batch.images[: len(indices)])
    constants = job.inputs.to(torch.device("cpu"))
    plain = replace(constants, mean=torch.zeros_like(constants.mean), divisor=1.0, factors=None)
    seen = augment(images, step.draw(job, indices), plain, rates.noise).permute(0, 2, 3, 1)
    if plain.is_bgr:
        seen = seen.flip(3)
    pixels: NDArray[np.uint8] = seen.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels
