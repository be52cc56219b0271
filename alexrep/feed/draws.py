"""The random draws for training patches: offset, reflection, colour noise.

Pure functions of (seed, epoch, image), so that worker count, batch size, number
of devices and a restart change nothing. N images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed

GROUP = 32
"""Consecutive images that share offset and reflection under `group32`, as in 2012."""
_ROW, _COLUMN, _REFLECT, _NOISE = 2, 3, 4, 5


@dataclass(frozen=True)
class Draws:
    """The draws for N images."""

    offsets: NDArray[np.int64]
    """Row and column of the patch's corner, (N, 2), each 0 to border."""
    reflect: NDArray[np.bool_]
    """Whether to reflect, (N,)."""
    alphas: NDArray[np.float32]
    """Standard normal factors along the three colour axes, (N, 3)."""


def draw(
    images: NDArray[np.int64], border: int, draws: str, reflect: bool, seed: int, epoch: int
) -> Draws:
    """Draw offset, reflection and noise of `images` in one epoch.

    Args:
        images: Indices of the images, (N,).
        border: Largest offset; 32 for 224 of 256, 33 positions each way as in
            the released source (the paper's 2048 counts 32).
        draws: "image", or "group32": offset and reflection once for each 32
            consecutive images. The noise is always per image.
        reflect: Whether half the patches are reflected.
        seed: The recipe's seed.
        epoch: Number of finished epochs.

    Raises:
        ValueError: If `draws` is unknown.

    Source: Krizhevsky et al. 2012, section 4.1, and the released source's
    provider of JPEG batches.
    """
    if draws not in ("image", "group32"):
        raise ValueError(f"draws: expected 'image' or 'group32', found {draws!r}")
    shared = images if draws == "image" else images // GROUP
    rows = keyed.below(border + 1, seed, _ROW, epoch, shared)
    columns = keyed.below(border + 1, seed, _COLUMN, epoch, shared)
    coins = keyed.below(2, seed, _REFLECT, epoch, shared) == 1
    alphas = keyed.normal(seed, _NOISE, epoch, images[:, None], np.arange(3))
    return Draws(
        offsets=np.stack([rows, columns], axis=1),
        reflect=coins if reflect else np.zeros_like(coins),
        alphas=alphas.astype(np.float32),
    )


def shuffled_labels(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Permute the labels: the control experiment, in which nothing can be learnt."""
    return labels[keyed.permutation(len(labels), seed, 6)]
