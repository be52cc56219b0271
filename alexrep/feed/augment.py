"""Augmentation: stored images to network input, on the device of the images.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alexrep.feed import cuts
from alexrep.feed.draws import Draws
from alexrep.feed.listed import stepped
from alexrep.feed.normalise import Inputs, normalise
from alexrep.kernels import choice

PATCHES = "augmentation"
"""Name of its fused kernel."""


def augment(
    images: Tensor,
    draws: Draws,
    inputs: Inputs,
    noisy: bool,
    *,
    dtype: torch.dtype = torch.float32,
    margin: int = 0,
) -> Tensor:
    """Cut, reflect, subtract the mean, add the colour noise, divide, scale.

    Args:
        images: uint8 (N, S, S, 3).
        draws: The random draws for these N images.
        inputs: Constants, on the images' device.
        noisy: Whether to add colour noise; without it nothing is divided either.
        dtype: What the network would round its input to; only the fused kernel does it here.
        margin: Zeros that the network would add at the right and at the bottom; likewise.

    Returns:
        Network input, float32 (N, 3, P, P), as the recipe's `input` says; by default grey levels
        about zero. Of the kernel `dtype`, (N, 3, P + margin, P + margin).

    Source: Krizhevsky et al. 2012, section 4.1. Departure: the released source
    draws from each worker's generator; here every draw is keyed by (seed, epoch, image).
    """
    if draws.listed is not None:
        return _listed(images, draws, inputs, noisy).permute(0, 3, 1, 2)
    shift = None
    if noisy:
        shift = torch.from_numpy(draws.alphas).to(images.device) @ inputs.noise.T  # (N, 3)
    if choice.is_fused(PATCHES, images) and images.is_contiguous():
        return _fused(images, draws, inputs, shift, dtype, margin).permute(0, 3, 1, 2)
    offsets, reflect = torch.from_numpy(draws.offsets), torch.from_numpy(draws.reflect)
    return _patches(images, offsets, reflect, inputs, shift).permute(0, 3, 1, 2)


def pictures(images: Tensor, draws: Draws, inputs: Inputs, noisy: bool) -> NDArray[np.uint8]:
    """Augment images for people to look at: nothing is subtracted, divided or scaled.

    Args:
        images: uint8 (N, S, S, 3), on the CPU.
        draws: The random draws for these N images.
        inputs: Constants, on any device.
        noisy: Whether to add colour noise.

    Returns:
        RGB in grey levels, uint8 (N, P, P, 3); what noise has put beyond black or white is cut off.
    """
    here = inputs.to(torch.device("cpu"))
    plain = replace(here, mean=torch.zeros_like(here.mean), divisor=1.0, factors=None)
    seen = augment(images, draws, plain, noisy).permute(0, 2, 3, 1)
    seen = seen.flip(3) if plain.is_bgr else seen
    pixels: NDArray[np.uint8] = seen.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels


def cut(images: Tensor, offsets: Tensor, reflect: Tensor, inputs: Inputs) -> Tensor:
    """Cut one patch from each image and normalise it.

    Args:
        images: uint8 (N, S, S, 3).
        offsets: Row and column of each patch's corner, int64 (N, 2).
        reflect: Whether to reflect each patch, bool (N,).
        inputs: Constants, on the images' device.

    Returns:
        float32 (N, P, P, 3), as the recipe's `input` says, channels in the order of the input.
    """
    return _patches(images, offsets, reflect, inputs, None)


def _patches(
    images: Tensor, offsets: Tensor, reflect: Tensor, inputs: Inputs, shift: Tensor | None
) -> Tensor:
    """Cut, reflect and normalise to float32 (N, P, P, 3); `shift` (N, 3) is the colour noise."""
    if images.device.type != "cpu":
        return _whole_batch(images, offsets, reflect, inputs, shift)
    side = inputs.side
    out = torch.from_numpy(inputs.buffers.take((len(offsets), side, side, 3), np.float32))
    noises = None if shift is None else shift.repeat(1, side)  # (N, 3 P)
    # One image at a time stays in the processor's cache and needs no index arrays:
    # seven times as fast on a CPU as the whole batch.
    corners = zip(offsets.tolist(), reflect.tolist(), strict=True)
    for number, ((row, column), mirrored) in enumerate(corners):
        rows, columns = slice(row, row + side), slice(column, column + side)
        patch, mean = images[number, rows, columns], inputs.mean
        if inputs.follows:
            mean = mean[rows, columns].flip(1) if mirrored else mean[rows, columns]
        if mirrored:
            patch = patch.contiguous().flip(1)
        if inputs.is_bgr:
            patch = patch.flip(2)
        noise = None if noises is None else noises[number]
        normalise(patch, mean, noise, inputs, out[number])
    return out


def _fused(
    images: Tensor,
    draws: Draws,
    inputs: Inputs,
    shift: Tensor | None,
    dtype: torch.dtype,
    margin: int,
) -> Tensor:
    """Do the same in one pass, to (N, P + margin, P + margin, 3) of `dtype`."""
    from alexrep.kernels import patches  # noqa: PLC0415 (Triton is not everywhere)

    corners = torch.from_numpy(np.column_stack([draws.offsets, draws.reflect]))
    tables = corners.to(images.device), inputs.mean, shift, inputs.factors
    numbers = inputs.side, margin, inputs.follows, inputs.divisor, inputs.is_bgr
    out: Tensor = patches.make(images, *tables, *numbers, dtype)
    return out


def _whole_batch(
    images: Tensor, offsets: Tensor, reflect: Tensor, inputs: Inputs, shift: Tensor | None
) -> Tensor:
    """Do the same for the whole batch in a few large operations, for a GPU."""
    side = inputs.side
    pixels = cuts.gather(images, offsets, reflect, side)
    pixels = pixels.flip(3) if inputs.is_bgr else pixels
    noise = None if shift is None else shift.repeat(1, side)[:, None]  # (N, 1, 3 P)
    out = torch.empty(pixels.shape, device=images.device)
    normalise(pixels, _means(offsets, reflect, inputs), noise, inputs, out)
    return out


def _listed(images: Tensor, draws: Draws, inputs: Inputs, noisy: bool) -> Tensor:
    """Do the steps of the recipe's list and normalise, to float32 (N, P, P, 3)."""
    shape = len(images), inputs.side, inputs.side, 3
    if images.device.type != "cpu":
        out = torch.empty(shape, device=images.device)
        _steps(images, draws, inputs, noisy, out)
        return out
    out = torch.from_numpy(inputs.buffers.take(shape, np.float32))
    # One image at a time stays in the processor's cache.
    for number in range(len(images)):
        row = slice(number, number + 1)
        _steps(images[row], draws.rows(row), inputs, noisy, out[row])
    return out


def _steps(images: Tensor, draws: Draws, inputs: Inputs, noisy: bool, out: Tensor) -> None:
    """Do the steps and normalise the whole batch; write to `out`."""
    pixels = stepped(images, draws, inputs, noisy)
    pixels = pixels.flip(3) if inputs.is_bgr else pixels
    offsets, reflect = torch.from_numpy(draws.offsets), torch.from_numpy(draws.reflect)
    normalise(pixels, _means(offsets, reflect, inputs), None, inputs, out)
    if noisy and inputs.divisor != 1:
        out.div_(inputs.divisor)


def _means(offsets: Tensor, reflect: Tensor, inputs: Inputs) -> Tensor:
    """Return the mean to subtract: (P, P, 3), or each patch's own part, (N, P, P, 3)."""
    if not inputs.follows:
        return inputs.mean
    return cuts.gather(inputs.mean.expand(len(offsets), -1, -1, -1), offsets, reflect, inputs.side)


def _try(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Augment a small batch by the kernel and by the plain form on the CPU."""
    num, stored, side = 3, 20, 13
    images = torch.arange(num * stored * stored * 3).mul(7).to(torch.uint8)
    images = images.view(num, stored, stored, 3)
    offsets = np.array([[0, 0], [7, 3], [2, 7]])
    alphas = np.linspace(-2, 2, 3 * num, dtype=np.float32).reshape(num, 3)
    draws = Draws(offsets, np.array([False, True, True]), alphas)
    pairs = []
    for follows in (False, True):
        mean = torch.linspace(0, 255, (stored if follows else side) ** 2 * 3)
        here = Inputs(
            mean=mean.view(-1, stored if follows else side, 3),
            noise=torch.linspace(-9, 9, 9).view(3, 3),
            divisor=1.1,
            side=side,
            follows=follows,
            is_bgr=follows,
            factors=torch.linspace(0.5, 1, 3 * side) if follows else None,
        )
        shift = torch.from_numpy(alphas) @ here.noise.T
        there = None if follows else shift.to(device)
        fused = _fused(images.to(device), draws, here.to(device), there, torch.float32, 2).cpu()
        plain = augment(images, draws, here, noisy=not follows).permute(0, 2, 3, 1)
        pairs.append((fused, functional.pad(plain, (0, 0, 0, 2, 0, 2))))
    return pairs


choice.register(PATCHES, _try)
