"""The results of a run: its errors on a split, kept beside its predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed
from alexrep.shards.layout import GEOMETRY

SHEET = 24
"""Images kept with the predictions for the picture of them."""


SHEET_WRONG = 8
"""At most this many of them are wrongly classified ones."""


@dataclass(frozen=True)
class Result:
    """The errors of a run on a split, as fractions."""

    split: str
    views: str
    checkpoint: str
    epoch: int
    num_images: int
    """Images of the split; those in quarantine are counted as errors. Of a run on some classes,
    the images of these, see `matching.of_classes`."""
    num_quarantined: int
    loss: float
    """Mean over the images that could be scored."""
    top1_error: float
    top5_error: float
    weights: str
    """Digest of the weights."""
    shards: str
    """Digest of the shards' manifest."""
    geometry: str = GEOMETRY
    """How the scored images were made square: "crop" or "squash"."""
    trained_geometry: str = GEOMETRY
    """How those were that the network was trained on."""


def sheet_rows(is_wrong: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose images for the picture: at random, but with some wrong ones among them.

    Args:
        is_wrong: Whether each image is classified wrongly, (N,).
    """
    order = keyed.permutation(len(is_wrong), 0)
    wrong, right = order[is_wrong[order]], order[~is_wrong[order]]
    chosen = np.concatenate([wrong[:SHEET_WRONG], right, wrong[SHEET_WRONG:]])[:SHEET]
    return chosen[keyed.permutation(len(chosen), 1)]
