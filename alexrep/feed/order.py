"""The order of an epoch's images, and its division into batches."""

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed

_ORDER = 1
"""Key that keeps the order independent of the draws."""


def epoch_order(order: str, num_images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the image indices in the order of an epoch, each once, (num_images,).

    Args:
        order: "shuffled", a permutation keyed by (seed, epoch), or "fixed", the
            shards' order, as in 2012.
        num_images: Number of training images.
        seed: The recipe's seed.
        epoch: Number of finished epochs.

    Raises:
        ValueError: If `order` is unknown.
    """
    if order == "fixed":
        return np.arange(num_images)
    if order == "shuffled":
        return keyed.permutation(num_images, seed, _ORDER, epoch)
    raise ValueError(f"order: expected 'shuffled' or 'fixed', found {order!r}")


def batches(indices: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Divide indices into batches; the last may be smaller and is a step too, as in 2012."""
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
