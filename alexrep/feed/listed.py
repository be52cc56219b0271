"""The steps of a recipe's list of augmentations, one after the other.

What each step does stands at its settings in `config/augmentations.py`. All of them work on grey
levels of RGB, before anything is subtracted; in whole levels until a colour changes.

Shapes: N images of a batch, S side of the stored images, P side of the patch, H rows, W columns.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from alexrep.feed import cuts, jitter
from alexrep.feed.draws import Draws, ListedDraws
from alexrep.feed.normalise import Inputs


def stepped(images: Tensor, draws: Draws, inputs: Inputs, noisy: bool) -> Tensor:
    """Do all steps of the list.

    Args:
        images: RGB, uint8 (N, S, S, 3); left as they are.
        draws: The draws for these images, those of the list among them.
        inputs: Side of the patch and colour noise, on the images' device.
        noisy: Whether the colour noise is added.

    Returns:
        Grey levels, RGB, uint8 or float32 (N, P, P, 3).
    """
    pixels = images
    for turn in _of(draws).order.T:
        for number in np.unique(turn):
            step, rows = STEPS[_of(draws).steps[number]], np.flatnonzero(turn == number)
            if len(rows) == len(pixels):
                pixels = step(pixels, draws, inputs, noisy)
            else:
                pixels, there = _planar(pixels), torch.from_numpy(rows).to(images.device)
                pixels[there] = step(pixels[there], draws.rows(rows), inputs, noisy)
    return pixels


def _of(draws: Draws) -> ListedDraws:
    assert draws.listed is not None, "there is a list"  # noqa: S101
    return draws.listed


def _planar(pixels: Tensor) -> Tensor:
    """Return pixels (N, H, W, 3) as float32 with the channels apart in memory: fast to change."""
    return pixels.permute(0, 3, 1, 2).float().contiguous().permute(0, 2, 3, 1)


def _patch(pixels: Tensor, draws: Draws, inputs: Inputs, _noisy: bool) -> Tensor:
    if len(pixels) == 1:
        row, column = draws.offsets[0].tolist()
        return pixels[:, row : row + inputs.side, column : column + inputs.side]
    plain = torch.zeros(len(pixels), dtype=torch.bool)
    return cuts.gather(pixels, torch.from_numpy(draws.offsets), plain, inputs.side)


def _resized_patch(pixels: Tensor, draws: Draws, inputs: Inputs, _noisy: bool) -> Tensor:
    return cuts.resized(pixels, torch.from_numpy(_of(draws).parts), inputs.side)


def _reflection(pixels: Tensor, draws: Draws, _inputs: Inputs, _noisy: bool) -> Tensor:
    if not draws.reflect.any():
        return pixels
    if draws.reflect.all():
        return pixels.flip(2)
    reflect = torch.from_numpy(draws.reflect).to(pixels.device)[:, None, None, None]
    return torch.where(reflect, pixels.flip(2), pixels)


def _colour_noise(pixels: Tensor, draws: Draws, inputs: Inputs, noisy: bool) -> Tensor:
    if not noisy:
        return pixels
    axes = inputs.noise.flip(0) if inputs.is_bgr else inputs.noise
    shift = torch.from_numpy(draws.alphas).to(pixels.device) @ axes.T
    return _planar(pixels) + shift[:, None, None]


def _jitter(pixels: Tensor, draws: Draws, _inputs: Inputs, _noisy: bool) -> Tensor:
    listed = _of(draws)
    factors = torch.from_numpy(listed.jitter).to(pixels.device)
    planes = _planar(pixels).permute(0, 3, 1, 2)
    return jitter.jitter(planes, factors, listed.turns, listed.jittered).permute(0, 2, 3, 1)


Step = Callable[[Tensor, Draws, Inputs, bool], Tensor]
STEPS: Mapping[str, Step] = {
    "patch": _patch,
    "resized-patch": _resized_patch,
    "reflection": _reflection,
    "colour-noise": _colour_noise,
    "jitter": _jitter,
}
"""What does each kind of step: pixels (N, H, W, 3) in and out."""
