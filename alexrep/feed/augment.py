"""From stored images to network input, on the device that the images are on.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexrep.feed.draws import Draws
from alexrep.feed.memory import Memory

MEANS = ("centre", "crop")
CHANNELS = ("rgb", "bgr")


@dataclass(frozen=True)
class Inputs:
    """What turns stored pixels into network input; colours in the order of the input."""

    mean: Tensor
    """Central part of the mean image, float32 (P, P, 3), grey levels; all of it, (S, S, 3), if
    `follows`."""
    noise: Tensor
    """Colour axes times their standard deviations times the scale, float32 (3, 3)."""
    divisor: float
    """1 + scale, by which noisy patches are divided in the released source."""
    side: int
    """P, the patch's side."""
    follows: bool = False
    """Whether each patch's own part of the mean is subtracted, and reflected with it."""
    is_bgr: bool = False
    """Whether the input's colours are blue, green, red; stored pixels are RGB."""
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)
    """Where patches made on the CPU lie."""

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
        mean: One of MEANS: the mean's centre for every patch, or the part at the patch's place.
        channels: One of CHANNELS, the order of the colours at the network's input.

    Raises:
        ValueError: If `mean` or `channels` is unknown.

    Source: the released source subtracts the central part of the mean image
    from every patch, wherever that lies, after reflection. Caffe subtracts the part at the
    patch's place before reflection, and has its colours from blue to red.
    """
    for name, found, known in ("mean", mean, MEANS), ("channels", channels, CHANNELS):
        if found not in known:
            raise ValueError(f"{name}: expected one of {known}, found {found!r}")
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


def augment(images: Tensor, draws: Draws, inputs: Inputs, noisy: bool) -> Tensor:
    """Cut, reflect, subtract the mean, add the colour noise, divide.

    Args:
        images: uint8 (N, S, S, 3).
        draws: The choices for these N images.
        inputs: Constants, on the images' device.
        noisy: Whether the colour noise is on; while it is off nothing is divided either.

    Returns:
        Network input, float32 (N, 3, P, P), in grey levels about zero.

    Source: Krizhevsky et al. 2012, section 4.1. Departure: the released source
    draws with the generator of each worker; here every choice is keyed.
    """
    shift = None
    if noisy:
        shift = torch.from_numpy(draws.alphas).to(images.device) @ inputs.noise.T  # (N, 3)
    offsets, reflect = torch.from_numpy(draws.offsets), torch.from_numpy(draws.reflect)
    return _patches(images, offsets, reflect, inputs, shift).permute(0, 3, 1, 2)


def cut(images: Tensor, offsets: Tensor, reflect: Tensor, inputs: Inputs) -> Tensor:
    """Cut one patch from each image and subtract the mean.

    Args:
        images: uint8 (N, S, S, 3).
        offsets: Row and column of each patch's corner, int64 (N, 2).
        reflect: Whether to reflect each patch, bool (N,).
        inputs: Constants, on the images' device.

    Returns:
        float32 (N, P, P, 3), grey levels about zero, colours in the order of the input.
    """
    return _patches(images, offsets, reflect, inputs, None)


def _patches(
    images: Tensor, offsets: Tensor, reflect: Tensor, inputs: Inputs, shift: Tensor | None
) -> Tensor:
    """Cut, reflect and normalise, float32 (N, P, P, 3); `shift` (N, 3) is the colour noise."""
    if images.device.type != "cpu":
        return _all_at_once(images, offsets, reflect, inputs, shift)
    side = inputs.side
    out = torch.from_numpy(inputs.memory.take((len(offsets), side, side, 3), np.float32))
    noises = None if shift is None else shift.repeat(1, side)  # (N, 3 P)
    # One image after the other stays in the processor's cache, and needs no indices:
    # seven times as fast here as all at once.
    choices = zip(offsets.tolist(), reflect.tolist(), strict=True)
    for number, ((row, column), mirrored) in enumerate(choices):
        rows, columns = slice(row, row + side), slice(column, column + side)
        patch, mean = images[number, rows, columns], inputs.mean
        if inputs.follows:
            mean = mean[rows, columns].flip(1) if mirrored else mean[rows, columns]
        if mirrored:
            patch = patch.contiguous().flip(1)
        if inputs.is_bgr:
            patch = patch.flip(2)
        noise = None if noises is None else noises[number]
        _normalise(patch, mean, inputs.divisor, noise, out[number])
    return out


def _all_at_once(
    images: Tensor, offsets: Tensor, reflect: Tensor, inputs: Inputs, shift: Tensor | None
) -> Tensor:
    """Do the same in a few large operations, which is what a device other than the CPU wants."""
    side = inputs.side
    pixels = _gather(images, offsets, reflect, side)
    pixels = pixels.flip(3) if inputs.is_bgr else pixels
    noise = None if shift is None else shift.repeat(1, side)[:, None]  # (N, 1, 3 P)
    out = torch.empty(pixels.shape, device=images.device)
    _normalise(pixels, _means(offsets, reflect, inputs), inputs.divisor, noise, out)
    return out


def _gather(images: Tensor, offsets: Tensor, reflect: Tensor, side: int) -> Tensor:
    """Cut all patches at once, of the images' type, (N, P, P, 3)."""
    device, steps = images.device, torch.arange(side)
    forward = steps.expand(len(offsets), side)
    columns = torch.where(reflect[:, None], side - 1 - forward, forward) + offsets[:, 1:]
    rows = forward + offsets[:, :1]
    number = torch.arange(len(offsets), device=device)[:, None, None]
    return images[number, rows[:, :, None].to(device), columns[:, None, :].to(device)]


def _means(offsets: Tensor, reflect: Tensor, inputs: Inputs) -> Tensor:
    """Return what to subtract from the patches, (P, P, 3), or (N, P, P, 3) if it follows them."""
    if not inputs.follows:
        return inputs.mean
    return _gather(inputs.mean.expand(len(offsets), -1, -1, -1), offsets, reflect, inputs.side)


def _normalise(
    patches: Tensor, mean: Tensor, divisor: float, noise: Tensor | None, out: Tensor
) -> None:
    """Subtract the mean, add the noise, divide; write to `out`, float32 (..., P, P, 3).

    Whole rows of a patch at a time, of 3 P numbers: three at a time are slow.
    """
    rows = out.flatten(-2)
    rows.copy_(patches.flatten(-2)).sub_(mean.flatten(-2))
    if noise is not None:
        rows.add_(noise).div_(divisor)
