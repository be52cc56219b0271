"""Draws the kernels of the first layer, by tower, as RGB patches.

Shapes: K kernels of a tower, P pixels to a side, H and W the size of a finished block.

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
"""Height of the title, width of the towers' names, space between blocks, in inches."""
MAX_WIDTH = 1200
"""Largest width of a block, in screen pixels."""
MAX_ZOOM = 16
"""Most screen pixels for a side of a kernel's pixel."""
GAP = 6
"""Screen pixels between two kernels."""


def draw(run: Path, out: Path) -> None:
    """Draw the first layer's kernels of `run` into the PNG file `out`.

    Uses the best checkpoint, or the last one if no best is kept.

    Raises:
        NothingToShow: If there is no checkpoint, or it has no convolution on three channels.
    """
    recipe, (path, weights) = read_recipe(run), read_weights(run)
    towers = first_layer(weights, path)
    if recipe.feed.channels == "bgr":
        towers = {name: kernels[:, ::-1] for name, kernels in towers.items()}
    blocks = {name: montage(patches(kernels)) for name, kernels in towers.items()}
    width = max(6.5, SIDE + max(b.shape[1] for b in blocks.values()) / style.DPI + style.MARGIN)
    height = TOP + sum(len(block) / style.DPI + BETWEEN for block in blocks.values())
    title = f"{recipe.name}: kernels of the first layer"
    subtitle = f"{_describe(towers)}, each scaled to its own range about grey"
    with style.canvas(out, width, height) as figure:
        style.title(figure, title, f"{subtitle}; checkpoint {path.name}")
        _draw_blocks(figure, blocks)


def first_layer(model: Mapping[str, torch.Tensor], where: Path) -> dict[str, Kernels]:
    """Return the first layer's kernels, float32, (K, 3, P, P), by name of the tower.

    Channels are in the order of the network's input. Of a network without towers, its first
    convolution on three channels is taken.

    Raises:
        NothingToShow: If there is no such layer.
        DataError: If a weight is not finite.
    """
    layers = {}
    for index in count():
        if (key := f"towers.{index}.conv1.weight") not in model:
            break
        layers[f"tower {index + 1}"] = model[key]
    if not layers:
        on_rgb = [key for key, weight in model.items() if weight.ndim == 4 and weight.shape[1] == 3]
        layers = {key.removesuffix(".weight"): model[key] for key in on_rgb[:1]}
    if not layers:
        advice = "draw the kernels of a net whose first layer is a convolution"
        raise NothingToShow(mismatch(where, "a convolution on 3 channels", "none", advice))
    if not all(bool(weight.isfinite().all()) for weight in layers.values()):
        advice = "take an earlier checkpoint"
        raise DataError(mismatch(where, "finite kernels", "infinity or NaN", advice))
    return {name: weight.float().numpy() for name, weight in layers.items()}


def patches(kernels: Kernels) -> Pixels:
    """Scale each kernel to its own range, with 0 as middle grey.

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
    """Return how many of `num` kernels go in a row: 16 of 48 as in the paper, 6 of 12."""
    ideal = min(num, math.sqrt(num * 16 / 3))
    divisors = [d for d in range(1, num + 1) if num % d == 0 and ideal / 1.6 < d < ideal * 1.6]
    return min(divisors, key=lambda d: abs(math.log(d / ideal)), default=math.ceil(ideal))


def montage(tiles: Pixels) -> Pixels:
    """Enlarge patches and lay them out in rows on white.

    Args:
        tiles: RGB patches, (K, P, P, 3).

    Returns:
        RGB pixels, (H, W, 3), W at most `MAX_WIDTH` unless there are too many patches.
    """
    across = columns(len(tiles))
    zoom = max(1, min(MAX_ZOOM, ((MAX_WIDTH + GAP) // across - GAP) // tiles.shape[2]))
    large = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = large.shape[1] + GAP, large.shape[2] + GAP
    down = math.ceil(len(tiles) / across)
    block = np.full((down * height, across * width, 3), 255, dtype=np.uint8)
    for index, tile in enumerate(large):
        y, x = index // across * height, index % across * width
        block[y : y + height - GAP, x : x + width - GAP] = tile
    return block[:-GAP, :-GAP]


def _draw_blocks(figure: Figure, blocks: Mapping[str, Pixels]) -> None:
    """Draw the blocks below one another, pixel for pixel, with names beside them."""
    axes, top = style.page(figure), TOP
    bottom = figure.get_size_inches()[1]
    for name, block in blocks.items():
        height = len(block) / style.DPI
        offset = round((bottom - top - height) * style.DPI)
        figure.figimage(block, round(SIDE * style.DPI), offset, origin="upper")
        x, y = (style.MARGIN + SIDE) / 2, top + height / 2
        axes.text(x, y, name, rotation=90, size=11, weight="bold", ha="center", va="center")
        top += height + BETWEEN


def _describe(towers: Mapping[str, Kernels]) -> str:
    counts = " + ".join(str(len(kernels)) for kernels in towers.values())
    height, width = next(iter(towers.values())).shape[2:]
    return f"{counts} kernels of {height}{style.CROSS}{width}{style.CROSS}3"
