"""The order of an epoch, and its division into batches."""

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed

_ORDER = 1
"""Keeps these numbers apart from the draws'."""


def epoch_order(order: str, num_images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the indices of an epoch's images, each once, (num_images,).

    Args:
        order: "shuffled", a permutation keyed by (seed, epoch), or "fixed", the
            shards' order, as in 2012.
        num_images: Images in the training set.
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
    """Divide into batches; the last may be smaller and counts as a step, as in 2012."""
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
