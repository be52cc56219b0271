"""Draws the mean image of the training set: as it is, with more contrast, and by channel."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from alexrep.runs.contents import Floats, Pixels, name_of, read_mean

from . import style

CELL, SPACE, TOP = 1.2, 0.13, 1.15
"""Side of a picture, space between two, and height of title and names, in inches."""
CHANNELS = ("red", "green", "blue")


def draw(run: Path) -> Figure:
    """Draw the mean image of `run`.

    Raises:
        DataError: If the mean image or the recipe is missing or damaged.
    """
    mean = read_mean(run)
    low, high = float(mean.min()), float(mean.max())
    with style.canvas(TOP + CELL + style.MARGIN) as figure:
        style.title(figure, f"{name_of(run)}: mean image of the training set", summary(mean))
        axes = style.page(figure)
        _picture(axes, 0, "in its colours", to_pixels(mean, 0.0, 255.0))
        _picture(axes, 1, "stretched", to_pixels(mean, low, high))
        for index, name in enumerate(CHANNELS):
            channel = mean[..., [index] * 3]
            _picture(axes, 2 + index, name, to_pixels(channel, low, high))
        _colour_bar(figure, low, high)
    return figure


def summary(mean: Floats) -> str:
    """Return the subtitle: channel means, range and size."""
    red, green, blue = mean.mean(axis=(0, 1), dtype=np.float64)
    side = f"{mean.shape[0]}{style.CROSS}{mean.shape[1]} pixels"
    channels = f"channel means R {red:.1f}, G {green:.1f}, B {blue:.1f}"
    return f"{side}; {channels}; range {mean.min():.1f} to {mean.max():.1f} grey levels"


def to_pixels(levels: Floats, low: float, high: float) -> Pixels:
    """Stretch grey levels so that `low` is black and `high` is white.

    Args:
        levels: Grey levels, RGB, (side, side, 3).
        low: Grey level shown as black.
        high: Grey level shown as white; levels outside of the two are clipped.

    Returns:
        Pixels of the same shape; all black where `low` equals `high`.
    """
    scaled = (levels - low) / max(high - low, 1e-6)
    pixels: Pixels = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return pixels


def _picture(axes: Axes, column: int, name: str, image: Pixels) -> None:
    x = style.MARGIN + column * (CELL + SPACE)
    extent = (x, x + CELL, TOP + CELL, TOP)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos")
    axes.text(x, TOP - 0.07, name, va="bottom")


def _colour_bar(figure: Figure, low: float, high: float) -> None:
    """Add the colour bar of the grey levels that the channels share."""
    left = style.MARGIN + 5 * (CELL + SPACE)
    shades = ScalarMappable(Normalize(low, max(high, low + 1e-6)), "gray")
    bar = figure.colorbar(shades, cax=style.panel(figure, left, TOP, 0.13, CELL))
    bar.outline.set_visible(False)
    bar.ax.grid(visible=False)
    bar.ax.set_title("grey level", size=style.TEXT, loc="left", pad=5)
