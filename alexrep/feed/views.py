"""The views of a test image: the centre, or the ten patches of section 4.1.

Shapes: N images of a batch, S side of the stored images, P side of the patch; H, W height and
width of what is stored of an image: S each, or 5 P and P of five patches one below the other.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexrep.feed.augment import cut
from alexrep.feed.normalise import Inputs

VIEWS = ("centre", "ten-crop")


def corners(views: str, border: int) -> list[tuple[int, int, bool]]:
    """Return row, column and reflection of each view.

    Ten-crop is top left, top right, centre, bottom left, bottom right, then the
    same five reflected, in the order of the released source.

    Args:
        views: One of VIEWS.
        border: S - P; 32 for 224 of 256, 29 for Caffe's 227.

    Raises:
        ValueError: If `views` is unknown.

    Source: Krizhevsky et al. 2012, section 4.1.
    """
    centre = border // 2
    if views == "centre":
        return [(centre, centre, False)]
    if views == "ten-crop":
        five = [(0, 0), (0, border), (centre, centre), (border, 0), (border, border)]
        return [(*corner, reflect) for reflect in (False, True) for corner in five]
    raise ValueError(f"views: expected one of {VIEWS}, found {views!r}")


def corners_in(views: str, height: int, width: int, side: int) -> list[tuple[int, int, bool]]:
    """Return the same in what is stored of an image: itself, or its five patches already cut.

    Args:
        views: One of VIEWS.
        height: H.
        width: W.
        side: P.
    """
    if height == width:
        return corners(views, width - side)
    if views == "centre":
        return [(2 * side, 0, False)]
    return [(number * side, 0, reflect) for reflect in (False, True) for number in range(5)]


def shown(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what people are shown of (M, H, W, 3): all, or the central one of five patches."""
    height, width = images.shape[1:3]
    return images if height == width else images[:, 2 * width : 3 * width]


def patches(images: Tensor, views: str, inputs: Inputs) -> Iterator[Tensor]:
    """Yield the network input for each view, float32 (N, 3, P, P), without noise.

    Args:
        images: uint8 (N, S, S, 3).
        views: One of VIEWS.
        inputs: Constants of normalisation, on the images' device.
    """
    for corner in corners(views, images.shape[1] - inputs.side):
        yield patch(images, corner, inputs)


def patch(images: Tensor, corner: tuple[int, int, bool], inputs: Inputs) -> Tensor:
    """Return the network input for one view, float32 (N, 3, P, P), without noise.

    Args:
        images: uint8 (N, H, W, 3).
        corner: Row, column and reflection, as `corners` or `corners_in` has them.
        inputs: Constants of normalisation, on the images' device.
    """
    num, (row, column, reflect) = len(images), corner
    offsets = torch.tensor([[row, column]]).expand(num, 2)
    return cut(images, offsets, torch.full((num,), reflect), inputs).permute(0, 3, 1, 2)
