"""Reference resize: bicubic, antialiased, in float64, without rounding."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in the source's pixels."""


def central(width: int, height: int) -> Box:
    """Return the central square, to fractions of a pixel, as alexrep cuts it."""
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    return left, top, left + short, top + short


def rounded(width: int, height: int, side: int) -> Box:
    """Return the box that remains if the image is resized to whole pixels first, then cut."""
    short = min(width, height)
    wide, high = round(width * side / short), round(height * side / short)
    left, top = (wide - side) // 2, (high - side) // 2
    across, down = width / wide, height / high
    return left * across, top * down, (left + side) * across, (top + side) * down


def resize(image: NDArray[np.uint8], box: Box, side: int) -> Floats:
    """Resize a box of an RGB image to (side, side, 3), grey levels, clipped to [0, 255]."""
    height, width = image.shape[:2]
    down = _weights(height, box[1], box[3], side)
    across = _weights(width, box[0], box[2], side)
    rows = np.tensordot(down, image.astype(np.float64), axes=(1, 0))
    square: Floats = np.tensordot(rows, across, axes=(1, 1)).transpose(0, 2, 1).clip(0, 255)
    return square


def psnr(image: NDArray[np.uint8], expected: Floats) -> float:
    """Return the peak signal-to-noise ratio in dB; rounding alone gives 58.9."""
    return float(10 * np.log10(255**2 / np.square(image - expected).mean()))


def _weights(length: int, start: float, end: float, side: int) -> Floats:
    """Return the weight of each source pixel in each resized pixel, (side, length)."""
    scale = (end - start) / side
    stretch = max(scale, 1.0)
    centres = start + (np.arange(side) + 0.5) * scale
    weights = _bicubic((np.arange(length) + 0.5 - centres[:, None]) / stretch)
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _bicubic(x: Floats) -> Floats:
    """Keys' kernel with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    kernel: Floats = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return kernel
