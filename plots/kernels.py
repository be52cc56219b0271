"""The kernels of the first layer, by tower, as small RGB patches.

Shapes: K kernels of a tower, P pixels to a side, H and W of the finished block.

Source: Krizhevsky et al. 2012, figure 3.
"""

import math
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexrep.errors import DataError, mismatch
from alexrep.runs.contents import NothingToShow, Pixels, read_recipe, read_weights

from . import style

Kernels = NDArray[np.float32]

TOP, SIDE, BETWEEN = 0.95, 0.62, 0.3
"""Room for the title, for the towers' names and between the blocks, in inches."""
ROOM = 1200
"""Most screen pixels to the width of a block."""
LARGEST = 16
"""Most screen pixels to a pixel of a kernel."""
GAP = 6
"""Screen pixels between two kernels."""


def draw(run: Path, out: Path) -> None:
    """Draw the first layer's kernels of `run` into the PNG file `out`.

    The best checkpoint is taken, or the last one where no best is kept.

    Raises:
        NothingToShow: If there is no checkpoint, or no layer on three colours in it.
    """
    recipe, (path, weights) = read_recipe(run), read_weights(run)
    towers = first_layer(weights, path)
    if recipe.feed.channels == "bgr":
        towers = {name: kernels[:, ::-1] for name, kernels in towers.items()}
    blocks = {name: montage(patches(kernels)) for name, kernels in towers.items()}
    width = max(6.5, SIDE + max(b.shape[1] for b in blocks.values()) / style.DPI + style.MARGIN)
    height = TOP + sum(len(block) / style.DPI + BETWEEN for block in blocks.values())
    title = f"{recipe.name}: kernels of the first layer"
    below = f"{_describe(towers)}, each scaled to its own range about grey"
    with style.canvas(out, width, height) as figure:
        style.title(figure, title, f"{below}; checkpoint {path.name}")
        _place(figure, blocks)


def first_layer(model: Mapping[str, torch.Tensor], where: Path) -> dict[str, Kernels]:
    """Find the first layer's kernels, float32, (K, 3, P, P), under the name of each tower.

    The colours are in the order of the net's input. A net without towers gives its first
    convolution on three channels.

    Raises:
        NothingToShow: If there is none.
        DataError: If a weight is not finite.
    """
    layers = {}
    for index in count():
        if (key := f"towers.{index}.conv1.weight") not in model:
            break
        layers[f"tower {index + 1}"] = model[key]
    if not layers:
        images = (key for key, weight in model.items() if weight.ndim == 4 and weight.shape[1] == 3)
        layers = {key.removesuffix(".weight"): model[key] for key in list(images)[:1]}
    if not layers:
        advice = "draw the kernels of a net whose first layer is a convolution"
        raise NothingToShow(mismatch(where, "a convolution on 3 channels", "none", advice))
    if not all(bool(weight.isfinite().all()) for weight in layers.values()):
        advice = "take an earlier checkpoint"
        raise DataError(mismatch(where, "finite kernels", "infinity or NaN", advice))
    return {name: weight.float().numpy() for name, weight in layers.items()}


def patches(kernels: Kernels) -> Pixels:
    """Scale each kernel to its own range, with 0 at middle grey.

    Args:
        kernels: Weights, RGB, (K, 3, P, P).

    Returns:
        RGB pixels, (K, P, P, 3).
    """
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    scaled = kernels / np.maximum(largest, np.finfo(np.float32).tiny)
    pixels: Pixels = np.rint(127.5 + 127.5 * scaled.transpose(0, 2, 3, 1)).astype(np.uint8)
    return pixels


def columns(num: int) -> int:
    """Return how many of `num` kernels stand in a row: 16 of 48 as in the paper, 6 of 12."""
    wish = min(num, math.sqrt(num * 16 / 3))
    divisors = [d for d in range(1, num + 1) if num % d == 0 and wish / 1.6 < d < wish * 1.6]
    return min(divisors, key=lambda d: abs(math.log(d / wish)), default=math.ceil(wish))


def montage(tiles: Pixels) -> Pixels:
    """Lay enlarged patches out in rows on white.

    Args:
        tiles: RGB patches, (K, P, P, 3).

    Returns:
        RGB pixels, (H, W, 3), W at most `ROOM` unless the patches are too many.
    """
    across = columns(len(tiles))
    zoom = max(1, min(LARGEST, ((ROOM + GAP) // across - GAP) // tiles.shape[2]))
    large = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    tall, wide = large.shape[1] + GAP, large.shape[2] + GAP
    down = math.ceil(len(tiles) / across)
    block = np.full((down * tall, across * wide, 3), 255, dtype=np.uint8)
    for index, tile in enumerate(large):
        y, x = index // across * tall, index % across * wide
        block[y : y + tall - GAP, x : x + wide - GAP] = tile
    return block[:-GAP, :-GAP]


def _place(figure: Figure, blocks: Mapping[str, Pixels]) -> None:
    """Put the blocks below one another, pixel for pixel, their names beside them."""
    axes, top = style.page(figure), TOP
    bottom = figure.get_size_inches()[1]
    for name, block in blocks.items():
        tall = len(block) / style.DPI
        offset = round((bottom - top - tall) * style.DPI)
        figure.figimage(block, round(SIDE * style.DPI), offset, origin="upper")
        x, y = (style.MARGIN + SIDE) / 2, top + tall / 2
        axes.text(x, y, name, rotation=90, size=11, weight="bold", ha="center", va="center")
        top += tall + BETWEEN


def _describe(towers: Mapping[str, Kernels]) -> str:
    counts = " + ".join(str(len(kernels)) for kernels in towers.values())
    tall, wide = next(iter(towers.values())).shape[2:]
    return f"{counts} kernels of {tall}{style.CROSS}{wide}{style.CROSS}3"
