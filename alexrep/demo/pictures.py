"""The pictures of the demo edition: handwritten digits over darkened photographs.

Pixels are computed by numpy's elementwise arithmetic and simplejpeg only, so that neither the
installed Pillow nor the processor changes a byte.

Shapes: H and W are a picture's height and width, in pixels.
"""

from importlib import resources

import numpy as np
import simplejpeg
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def photographs() -> list[Pixels]:
    """Decode the two photographs that scikit-learn ships.

    Returns:
        RGB, uint8 in [0, 255], (427, 640, 3) each.
    """
    folder = resources.files("sklearn.datasets") / "images"
    files = (folder / name for name in ("china.jpg", "flower.jpg"))
    return [simplejpeg.decode_jpeg(file.read_bytes()) for file in files]


def draw(digit: Floats, photos: list[Pixels], rng: np.random.Generator) -> Pixels:
    """Blend a digit, enlarged and tinted, onto a darkened crop of a photograph.

    The digit lies within the central square of the picture.

    Args:
        digit: Ink in each cell, in [0, 16], (8, 8).
        photos: RGB, uint8 in [0, 255], each at least 266 pixels high and wide.
        rng: Generator of shape, size, position, colour and crop.

    Returns:
        RGB picture, uint8 in [0, 255], (H, W, 3); H and W are 96 to 266 pixels.
    """
    height, width = _shape(rng)
    side = rng.uniform(0.7, 0.95) * min(height, width)
    slack = (min(height, width) - side) / 2
    top = (height - side) / 2 + rng.uniform(-slack, slack)
    left = (width - side) / 2 + rng.uniform(-slack, slack)
    rows = _enlarge(digit / 16, height, top, side)
    alpha = np.clip(_enlarge(rows.T, width, left, side).T, 0, 1)[:, :, None]
    colour = rng.uniform(96, 255, 3)
    colour *= 255 / colour.max()
    photo = photos[rng.integers(len(photos))]
    ground = _crop(photo, height, width, rng) * rng.uniform(0.25, 0.5)
    return to_uint8(ground + alpha * (colour - ground))


def encode(picture: Pixels, quality: int) -> bytes:
    """Encode an RGB picture, uint8, (H, W, 3), as a JPEG with 4:2:0 subsampling."""
    jpeg: bytes = simplejpeg.encode_jpeg(picture, quality, colorsubsampling="420")
    return jpeg


def to_uint8(values: Floats) -> Pixels:
    """Round to the nearest grey level in [0, 255], halves to the even one."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _shape(rng: np.random.Generator) -> tuple[int, int]:
    """Draw height and width: 1 in 50 is too small, 1 in 100 just right for a 128-pixel set."""
    kind, ratio = rng.random(), rng.uniform(1, 4 / 3)
    short = int(rng.integers(130, 201))
    if kind < 0.02:
        short = int(rng.integers(96, 128))
    elif kind < 0.03:
        short, ratio = 128, 1.0
    elif kind < 0.2:
        ratio = 1.0
    sides = short, int(short * ratio)
    return sides if rng.random() < 0.5 else sides[::-1]


def _enlarge(cells: Floats, length: int, start: float, side: float) -> Floats:
    """Resample the rows of `cells` to `length` pixels, smoothly (Catmull-Rom).

    The cells cover `side` pixels from `start` on; outside them the result is 0.
    """
    position = (np.arange(length) + 0.5 - start) * (len(cells) / side) - 0.5
    cell = np.floor(position)
    t = position - cell
    weights = (
        t * (-1 + t * (2 - t)) / 2,
        1 + t * t * (3 * t - 5) / 2,
        t * (1 + t * (4 - 3 * t)) / 2,
        t * t * (t - 1) / 2,
    )
    padded = np.pad(cells, ((1, 1), (0, 0)))
    rows = np.zeros((length, cells.shape[1]))
    for tap, weight in enumerate(weights):
        rows += weight[:, None] * padded[np.clip(cell.astype(int) + tap, 0, len(cells) + 1)]
    return rows


def _crop(photo: Pixels, height: int, width: int, rng: np.random.Generator) -> Pixels:
    y = rng.integers(photo.shape[0] - height + 1)
    x = rng.integers(photo.shape[1] - width + 1)
    return photo[y : y + height, x : x + width]
