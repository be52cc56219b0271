"""Normalisation of patches: mean, colour noise, divisor, order of channels.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexrep.feed.buffers import Buffers

MEANS = ("centre", "crop", "none")
CHANNELS = ("rgb", "bgr")


@dataclass(frozen=True)
class Inputs:
    """Constants of normalisation; channels in the order of the network input."""

    mean: Tensor
    """Centre of the mean image, float32 (P, P, 3), grey levels; with `follows` all of it,
    (S, S, 3); zeros where none is subtracted."""
    noise: Tensor
    """Colour axes times their standard deviations times the scale, float32 (3, 3)."""
    divisor: float
    """What noisy patches are divided by: 1 + scale in the released source, else 1."""
    side: int
    """P, the patch's side."""
    follows: bool = False
    """Whether to subtract the part of the mean at the patch's position, reflected with it."""
    is_bgr: bool = False
    """Whether the input's channels are blue, green, red; stored pixels are RGB."""
    buffers: Buffers = field(default_factory=Buffers, compare=False, repr=False)
    """Memory of the patches that are made on the CPU."""

    def to(self, device: torch.device) -> "Inputs":
        """Return a copy on `device`."""
        return replace(self, mean=self.mean.to(device), noise=self.noise.to(device))


def make_inputs(
    mean_image: NDArray[np.floating[Any]],
    axes: NDArray[np.floating[Any]],
    stds: NDArray[np.floating[Any]],
    side: int,
    scale: float,
    divide: bool,
    *,
    mean: str = "centre",
    channels: str = "rgb",
) -> Inputs:
    """Prepare the constants of augmentation.

    Args:
        mean_image: RGB, (S, S, 3), grey levels.
        axes: Unit eigenvectors of the RGB covariance, (3, 3), in columns.
        stds: Standard deviations along them, (3,), grey levels.
        side: P, the patch's side.
        scale: Factor on the standard deviations; 0.1 in the paper.
        divide: Whether noisy patches are divided by 1 + scale.
        mean: One of MEANS: the mean's centre for every patch, the part at the patch's position, or
            nothing.
        channels: One of CHANNELS, the order of the channels of the network input.

    Raises:
        ValueError: If `mean` or `channels` is unknown.

    Source: the released source subtracts the central part of the mean image
    from every patch, wherever it was cut, after reflection. Caffe subtracts the part at the
    patch's position, before reflection, and takes BGR.
    """
    for name, found, known in ("mean", mean, MEANS), ("channels", channels, CHANNELS):
        if found not in known:
            raise ValueError(f"{name}: expected one of {known}, found {found!r}")
    if mean == "none":
        mean_image = np.zeros_like(mean_image)
    start = (mean_image.shape[0] - side) // 2
    part = slice(None) if mean == "crop" else slice(start, start + side)
    colours = slice(None, None, -1 if channels == "bgr" else 1)
    return Inputs(
        mean=torch.tensor(mean_image[part, part, colours].copy(), dtype=torch.float32),
        noise=torch.tensor((axes * stds * scale)[colours].copy(), dtype=torch.float32),
        divisor=1 + scale if divide else 1.0,
        side=side,
        follows=mean == "crop",
        is_bgr=channels == "bgr",
    )


def normalise(
    patches: Tensor, mean: Tensor, divisor: float, noise: Tensor | None, out: Tensor
) -> None:
    """Subtract the mean, add the noise, divide; write to `out`, float32 (..., P, P, 3).

    Works on whole rows of 3 P numbers: an innermost axis of three is slow.
    """
    rows = out.flatten(-2)
    rows.copy_(patches.flatten(-2)).sub_(mean.flatten(-2))
    if noise is not None:
        rows.add_(noise).div_(divisor)
