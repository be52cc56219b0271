"""Draws the colour axes of the training set, and how far colour noise moves along them.

Source: Krizhevsky et al. 2012, section 4.1.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep.runs.contents import ColourAxes, Floats, name_of, read_colour_axes, read_recipe

from . import style

DRAWS = (-2, -1, 0, 1, 2)
"""Multiples of the standard deviation at which colours are shown."""
STRONGER = 5
"""Factor by which the noise is shown stronger: at its own strength it is hardly to be seen."""
TOP, ROW = 1.62, 0.7
"""Height above the rows, and of a row, in inches."""
BARS, LONGEST_BAR = 1.75, 0.55
"""Left end of the bars, and length of the longest, in inches."""
SWATCH_WIDTH, SWATCH_HEIGHT = 0.3, 0.46
"""Width and height of a swatch, in inches."""
GROUPS = (2.86, 4.53, 6.2)
"""Left edges of the swatches: of the data's own spread, of the noise's, and of it stronger."""
NOTES = (
    "Each row moves the mean colour along one axis; colour noise moves it along all three at once.",
    "Grey levels are clipped to 0 to 255.",
)


def draw(run: Path) -> Figure:
    """Draw the colour axes of `run`.

    Raises:
        DataError: If the colour axes or the recipe are missing or damaged.
    """
    scale, axes = read_recipe(run).colour_noise.scale, read_colour_axes(run)
    heads = ("the data's spread", f"colour noise, {scale:g} of it", f"the noise {STRONGER} times")
    with style.canvas(TOP + 3 * ROW + 0.6) as figure:
        style.title(figure, f"{name_of(run)}: colour axes of the training set", *summary(axes))
        page = style.page(figure)
        page.text(style.MARGIN, TOP - 0.42, "axis (R, G, B)", weight="bold")
        page.text(BARS, TOP - 0.42, "std", weight="bold")
        for index in range(3):
            _bar(page, axes, index, TOP + index * ROW)
        factors = (1.0, scale, STRONGER * scale)
        for left, head, factor in zip(GROUPS, heads, factors, strict=True):
            _head(page, left, head)
            for index in range(3):
                _swatches(page, swatches(axes, index, factor), left, TOP + index * ROW)
        for number, note in enumerate(NOTES):
            y = TOP + 3 * ROW + number * style.LEADING
            page.text(style.MARGIN, y, note, size=style.SMALL, color=style.QUIET, va="top")
    return figure


def summary(axes: ColourAxes) -> tuple[str, str]:
    """Return the subtitle: the mean colour, and the number of pixels behind it."""
    red, green, blue = axes.mean
    mean = f"mean colour R {red:.1f}, G {green:.1f}, B {blue:.1f} grey levels"
    return mean, f"covariance of {axes.num_pixels:,} pixels; std in grey levels"


def swatches(axes: ColourAxes, index: int, scale: float) -> Floats:
    """Return the colours at -2 to 2 standard deviations from the mean along one axis.

    Args:
        axes: The colour axes.
        index: Index of the axis, 0 for the largest standard deviation.
        scale: Factor on the standard deviation: 1, or the scale of the noise.

    Returns:
        Grey levels, RGB, (5, 3), clipped to [0, 255].
    """
    direction = np.array(axes.axes)[:, index]
    steps = np.array(DRAWS)[:, None] * scale * axes.stds[index]
    colours: Floats = np.clip(np.array(axes.mean) + steps * direction, 0, 255)
    return colours


def _head(page: Axes, left: float, text: str) -> None:
    """Write the head of a group of swatches, and above each its multiple of the deviation."""
    page.text(left, TOP - 0.42, text, weight="bold")
    for column, draw in enumerate(DRAWS):
        x = left + (column + 0.5) * SWATCH_WIDTH
        number = style.signed(draw, "g") if draw else "mean"
        look: dict[str, Any] = {"size": style.SMALL, "color": style.QUIET, "ha": "center"}
        page.text(x, TOP - 0.1, number, **look)


def _bar(page: Axes, axes: ColourAxes, index: int, y: float) -> None:
    middle = y + SWATCH_HEIGHT / 2
    page.text(style.MARGIN, middle - 0.04, f"axis {index + 1}", weight="bold", va="bottom")
    direction = "  ".join(style.signed(row[index], ".2f") for row in axes.axes)
    page.text(style.MARGIN, middle + 0.04, direction, size=style.SMALL, color=style.QUIET, va="top")
    std = axes.stds[index]
    length = LONGEST_BAR * std / max(*axes.stds, 1e-6)
    page.add_patch(
        Rectangle((BARS, y + 0.08), length, SWATCH_HEIGHT - 0.16, fc=style.BLUE, ec="none")
    )
    page.text(BARS + length + 0.07, middle, f"{std:.1f}", va="center_baseline")


def _swatches(page: Axes, colours: Floats, left: float, y: float) -> None:
    for column, colour in enumerate(colours):
        x = left + column * SWATCH_WIDTH
        page.add_patch(
            Rectangle((x, y), SWATCH_WIDTH, SWATCH_HEIGHT, fc=tuple(colour / 255), ec="none")
        )
    frame = Rectangle(
        (left, y), len(colours) * SWATCH_WIDTH, SWATCH_HEIGHT, fc="none", ec=style.LINE, lw=0.6
    )
    page.add_patch(frame)
