"""Brightness, contrast, saturation and hue of images, changed by factors.

The definitions are torchvision's for pixels from 0 to 1, in whose place stand grey levels from 0
to 255: each change is cut off at black and white. All of it works on a batch with a factor for
each image, which torchvision's functions do not, and in place.

Shapes: N images, H rows, W columns.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WHITE = 255.0
GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the grey of a pixel."""


def jitter(images: Tensor, factors: Tensor, turns: NDArray[np.int64], of: Sequence[int]) -> Tensor:
    """Change images in place.

    Args:
        images: Grey levels, RGB, float32 (N, 3, H, W).
        factors: Factors on brightness, contrast and saturation, and the share of a turn of the
            hue, float32 (N, 4).
        turns: Which of these four comes first, second, ... of each image, (N, 4).
        of: Which of them are changed at all.

    Returns:
        The images.
    """
    for turn in turns.T:
        for number in of:
            rows = np.flatnonzero(turn == number)
            if len(rows) == len(images):
                CHANGES[number](images, factors[:, number, None, None, None])
            elif len(rows):
                there = torch.from_numpy(rows).to(images.device)
                own = factors[there, number, None, None, None]
                images[there] = CHANGES[number](images[there], own)
    return images


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply by factors, (N, 1, 1, 1)."""
    return images.mul_(factors).clamp_(0, WHITE)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the distance from each image's mean grey by factors, (N, 1, 1, 1)."""
    mean = grey(images).mean(dim=(2, 3), keepdim=True)
    return images.mul_(factors).add_(mean * (1 - factors)).clamp_(0, WHITE)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the distance from each pixel's grey by factors, (N, 1, 1, 1)."""
    rest = grey(images).mul_(1 - factors)
    return images.mul_(factors).add_(rest).clamp_(0, WHITE)


def hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn hues by shares of a turn, (N, 1, 1, 1), with saturation and value as they are.

    A channel is the value less the chroma times a trapezium of the hue; red, green and blue
    have theirs a third of a turn apart.
    """
    red, green, blue = images.split(1, dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    sixths = _sixths(red, green, blue, value, chroma).add_(turns * 6)
    for channel, start in enumerate((5, 3, 1)):
        # Distance from the middle of the channel's lack, over the nearest whole turn.
        place = sixths + (start - 2)
        place.sub_((place * (1 / 6)).round_(), alpha=6)
        lack = place.abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma)
        torch.sub(value, lack, out=images[:, channel : channel + 1])
    return images


def _sixths(red: Tensor, green: Tensor, blue: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return hues in sixths of a turn; of grey pixels, which have none, zero.

    Masks are numbers: choosing by `where` takes several times as long on a CPU.
    """
    inverse = 1 / chroma.clamp(min=torch.finfo(chroma.dtype).tiny)
    not_red, not_green = (value - red).sign_(), (value - green).sign_()
    from_red = (green - blue).mul_(inverse)
    from_green = (blue - red).mul_(inverse).add_(2)
    from_blue = (red - green).mul_(inverse).add_(4)
    rest = from_green.add_(from_blue.sub_(from_green).mul_(not_green))
    return from_red.add_(rest.sub_(from_red).mul_(not_red))


def grey(images: Tensor) -> Tensor:
    """Return the grey of each pixel, (N, 1, H, W)."""
    red, green, blue = images.split(1, dim=1)
    out: Tensor = (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])
    return out


CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = brightness, contrast, saturation, hue
"""What each column of the factors changes."""
