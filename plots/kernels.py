"""Draws the kernels of the first layer, by tower, as RGB patches.

Shapes: K kernels of a tower, P pixels to a side, H and W the size of a finished block.

Source: Krizhevsky et al. 2012, figure 3.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexrep.errors import DataError, mismatch
from alexrep.runs.contents import (
    NothingToShow,
    Pixels,
    name_of,
    read_recipe,
    read_trained,
)
from alexrep.runs.trained import Trained

from . import style

Kernels = NDArray[np.float32]

TOP, SIDE, BETWEEN = 1.18, 0.5, 0.22
"""Height of the title and the heads, left edge of the blocks, space between blocks, in inches."""
MAX_ZOOM = 16
"""Most pixels of the page for a side of a kernel's pixel."""
GAP = 6
"""Pixels of the page between two kernels."""


def draw(run: Path) -> Figure:
    """Draw the first layer's kernels of `run`, before training beside after it.

    Of the result that is shown, the checkpoint that was scored; else the last one.

    Raises:
        NothingToShow: If there is no checkpoint, or it has no convolution on three channels.
    """
    recipe, network = read_recipe(run), read_trained(run)
    ends = {f"{_age(network)} ({network.path.name})": _kernels(network.content["state_dict"], run)}
    if recipe.start is None and _is_trained(network):
        initial = _kernels(network.untrained().state_dict(), run)
        ends = {f"before training (seed {recipe.seed})": initial} | ends
    across = (style.WIDTH - style.MARGIN - SIDE - BETWEEN * (len(ends) - 1)) / len(ends)
    columns = {
        head: [montage(patches(kernels), round(across * style.DPI)) for kernels in towers.values()]
        for head, towers in ends.items()
    }
    towers = next(iter(ends.values()))
    blocks = next(iter(columns.values()))
    height = TOP + sum(len(block) / style.DPI + BETWEEN for block in blocks) + 0.08
    with style.canvas(height) as figure:
        subtitle = f"{_describe(towers)}, each scaled to its own range about grey"
        style.title(figure, f"{name_of(run)}: kernels of the first layer", subtitle)
        axes = style.page(figure)
        for number, (head, drawn) in enumerate(columns.items()):
            _column(axes, head, drawn, SIDE + number * (across + BETWEEN))
        _tower_names(axes, list(towers), blocks)
    return figure


def _is_trained(network: Trained) -> bool:
    """Tell whether the weights were trained from their recipe's seed; imported ones were not."""
    return bool(network.content.get("epoch") or network.content.get("step"))


def _age(network: Trained) -> str:
    if not _is_trained(network):
        return "as imported"
    unit = "epoch" if network.content.get("epoch") else "step"
    num = int(network.content[unit])
    return f"after {num:,} {unit}{'s' if num > 1 else ''}"


def _kernels(state: Mapping[str, torch.Tensor], run: Path) -> dict[str, Kernels]:
    """Return the kernels of the first layer by tower, RGB, (K, 3, P, P)."""
    towers = first_layer(state, run)
    if read_recipe(run).feed.channels == "bgr":
        return {name: kernels[:, ::-1] for name, kernels in towers.items()}
    return towers


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


def columns(num: int, shape: float = 16 / 3) -> int:
    """Return how many of `num` kernels go in a row: of 48 16 as in the paper, or 8 at 4 to 3.

    Args:
        num: Number of kernels.
        shape: Width of the block by its height, if there were no gaps.
    """
    ideal = min(num, math.sqrt(num * shape))
    divisors = [d for d in range(1, num + 1) if num % d == 0 and ideal / 1.6 < d < ideal * 1.6]
    return min(divisors, key=lambda d: abs(math.log(d / ideal)), default=math.ceil(ideal))


def montage(tiles: Pixels, width: int) -> Pixels:
    """Enlarge patches and lay them out in rows on white.

    Args:
        tiles: RGB patches, (K, P, P, 3).
        width: Largest width, in pixels; passed where there are too many patches for it.

    Returns:
        RGB pixels, (H, W, 3).
    """
    across = columns(len(tiles), 16 / 3 if width > 4 * style.DPI else 4 / 3)
    zoom = max(1, min(MAX_ZOOM, ((width + GAP) // across - GAP) // tiles.shape[2]))
    large = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = large.shape[1] + GAP, large.shape[2] + GAP
    down = math.ceil(len(tiles) / across)
    block = np.full((down * height, across * width, 3), 255, dtype=np.uint8)
    for index, tile in enumerate(large):
        y, x = index // across * height, index % across * width
        block[y : y + height - GAP, x : x + width - GAP] = tile
    return block[:-GAP, :-GAP]


def _column(axes: Axes, head: str, blocks: Sequence[Pixels], left: float) -> None:
    """Draw the blocks of all towers below one another, pixel for pixel, below their head."""
    axes.text(left, TOP - 0.13, head, weight="bold")
    top = TOP
    for block in blocks:
        style.pixels(axes, block, left, top)
        top += len(block) / style.DPI + BETWEEN


def _tower_names(axes: Axes, names: Sequence[str], blocks: Sequence[Pixels]) -> None:
    top = TOP
    for name, block in zip(names, blocks, strict=True):
        height = len(block) / style.DPI
        look: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "center"}
        axes.text(style.MARGIN + 0.04, top + height / 2, name, color=style.QUIET, **look)
        top += height + BETWEEN


def _describe(towers: Mapping[str, Kernels]) -> str:
    counts = " + ".join(str(len(kernels)) for kernels in towers.values())
    height, width = next(iter(towers.values())).shape[2:]
    return f"{counts} kernels of {height}{style.CROSS}{width}{style.CROSS}3"
