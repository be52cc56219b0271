"""Normalisation of patches: mean, colour noise, divisor, order of channels.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexrep.config.input import Colour
from alexrep.feed.buffers import Buffers
from alexrep.feed.constants import UNCHANGED

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
    factors: Tensor | None = None
    """What each channel is multiplied by at the end, over a row, float32 (3 P,); None where that
    changes nothing."""
    buffers: Buffers = field(default_factory=Buffers, compare=False, repr=False)
    """Memory of the patches that are made on the CPU."""

    def to(self, device: torch.device) -> "Inputs":
        """Return a copy on `device`."""
        factors = None if self.factors is None else self.factors.to(device)
        mean, noise = self.mean.to(device), self.noise.to(device)
        return replace(self, mean=mean, noise=noise, factors=factors)


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
    factors: Colour = UNCHANGED,
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
        factors: What each channel is multiplied by after all else, RGB.

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
    row = torch.tensor(factors[colours], dtype=torch.float32).repeat(side)
    return Inputs(
        mean=torch.tensor(mean_image[part, part, colours].copy(), dtype=torch.float32),
        noise=torch.tensor((axes * stds * scale)[colours].copy(), dtype=torch.float32),
        divisor=1 + scale if divide else 1.0,
        side=side,
        follows=mean == "crop",
        is_bgr=channels == "bgr",
        factors=None if factors == UNCHANGED else row,
    )


def normalise(
    patches: Tensor, mean: Tensor, noise: Tensor | None, inputs: Inputs, out: Tensor
) -> None:
    """Subtract the mean, add the noise, divide, multiply by the channels' factors.

    Works on whole rows of 3 P numbers: an innermost axis of three is slow.

    Args:
        patches: Patches, of any dtype, (..., P, P, 3), channels in the order of the input.
        mean: What is subtracted, (P, P, 3) or of the patches' shape.
        noise: What is added to each row, (..., 3 P); then everything is divided. None: neither.
        inputs: Divisor and factors.
        out: Where the result goes, float32, of the patches' shape.
    """
    rows = out.copy_(patches).flatten(-2).sub_(mean.flatten(-2))
    if noise is not None:
        rows.add_(noise).div_(inputs.divisor)
    if inputs.factors is not None:
        rows.mul_(inputs.factors)
