"""Draws the colour axes of the training set, and how far colour noise moves along them.

Source: Krizhevsky et al. 2012, section 4.1.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from alexrep.runs.contents import ColourAxes, Floats, read_colour_axes, read_recipe

from . import style

DRAWS = (-2, -1, 0, 1, 2)
"""Multiples of the standard deviation at which colours are shown."""
WIDTH, TOP, ROW = 10.4, 1.55, 0.78
"""Page width, height above the rows, and row height, in inches."""
BARS, LONGEST_BAR = 1.75, 2.1
"""Left end of the bars, and length of the longest, in inches."""
SWATCH_WIDTH, SWATCH_HEIGHT = 0.5, 0.46
"""Width and height of a swatch, in inches."""
DATA_LEFT, NOISE_LEFT = 4.75, 7.6
"""Left edges of the swatches at the data's own spread and at the noise's, in inches."""
NOTE = (
    "Grey levels are clipped to 0 to 255. The noise is shown for draws of up to twice its "
    "standard deviation, one axis at a time; it moves along all three."
)


def draw(run: Path, out: Path) -> None:
    """Draw the colour axes of `run` into the PNG file `out`.

    Raises:
        DataError: If the colour axes or the recipe are missing or damaged.
    """
    recipe, axes = read_recipe(run), read_colour_axes(run)
    with style.canvas(out, WIDTH, TOP + 3 * ROW + 0.55) as figure:
        style.title(figure, f"{recipe.name}: colour axes of the training set", summary(axes))
        page = style.page(figure)
        _column_heads(page, recipe.noise.scale)
        for index in range(3):
            y = TOP + index * ROW
            _bar(page, axes, index, y)
            _swatches(page, swatches(axes, index, 1.0), DATA_LEFT, y)
            _swatches(page, swatches(axes, index, recipe.noise.scale), NOISE_LEFT, y)
        page.text(style.MARGIN, TOP + 3 * ROW + 0.1, NOTE, size=8, color=style.QUIET, va="top")


def summary(axes: ColourAxes) -> str:
    """Return the subtitle: the mean colour and the number of pixels behind it."""
    red, green, blue = axes.mean
    mean = f"mean colour R {red:.1f}, G {green:.1f}, B {blue:.1f} grey levels"
    return f"{mean}; covariance of {axes.num_pixels:,} pixels"


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


def _column_heads(page: Axes, scale: float) -> None:
    """Write the column heads, and the number of standard deviations above each swatch."""
    y = TOP - 0.36
    page.text(style.MARGIN, y, "axis (R, G, B)", weight="bold")
    page.text(BARS, y, "standard deviation, grey levels", weight="bold")
    page.text(DATA_LEFT, y, "mean colour moved along the axis", weight="bold")
    page.text(NOISE_LEFT, y, f"the same by the noise, scale {scale:g}", weight="bold")
    for left, factor in ((DATA_LEFT, 1.0), (NOISE_LEFT, scale)):
        for column, draw in enumerate(DRAWS):
            x = left + (column + 0.5) * SWATCH_WIDTH
            text = f"{style.signed(draw * factor, 'g')} std" if draw else "mean"
            page.text(x, TOP - 0.1, text, size=7, color=style.QUIET, ha="center")


def _bar(page: Axes, axes: ColourAxes, index: int, y: float) -> None:
    middle = y + SWATCH_HEIGHT / 2
    page.text(style.MARGIN, middle - 0.04, f"axis {index + 1}", weight="bold", va="bottom")
    direction = "  ".join(style.signed(row[index], ".2f") for row in axes.axes)
    page.text(style.MARGIN, middle + 0.04, direction, size=8, color=style.QUIET, va="top")
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
