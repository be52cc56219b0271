"""Shared style of all pictures: colours, sizes, and how a figure is made, shown and saved.

pyplot is not used. The style is based on matplotlib's own defaults, never on the
user's settings, and a file holds no version and no date, so that equal work gives
equal bytes. Lengths are in inches, from the top left corner of the page.

Every picture is as wide as the next, so that type has one size; at 800 pixels, two thirds of
the PNG file's width, the smallest of it is 10 pixels high.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from alexrep.files import whole

FORMATS = ("png", "svg")
"""Formats that `save` writes."""
DPI = 150
WIDTH, MARGIN = 8.0, 0.3
"""Width and margin of a page, in inches."""
TITLE, SUBTITLE, TEXT, SMALL = 13.0, 9.5, 9.0, 8.0
"""Sizes of type, in points; the smallest is for numbers beside or on what they belong to."""
LEADING = 0.19
"""Distance between lines of a subtitle, in inches."""
ELLIPSIS, MINUS, CROSS = "\N{HORIZONTAL ELLIPSIS}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"

# Okabe and Ito's palette, distinct under all common kinds of colour blindness.
BLUE, VERMILLION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
GREEN, PURPLE, SKY = "#009E73", "#CC79A7", "#56B4E9"
INK, QUIET, LINE, PALE = "#1A1A1A", "#6B6B6B", "#B5B5B5", "#E9ECEF"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Colours of runs that are compared, in order; INK for all where there are more."""


class Picture(Figure):
    """A figure in the shared style; a notebook shows it as it is saved."""

    def _repr_png_(self) -> bytes:
        """Return the PNG file, for notebooks."""
        stream = io.BytesIO()
        _write(self, stream, "png")
        return stream.getvalue()


def settings() -> dict[str, object]:
    """Return the rcParams that differ from matplotlib's defaults."""
    return {
        "figure.dpi": DPI,
        "savefig.dpi": DPI,
        "font.family": "DejaVu Sans",
        "font.size": TEXT,
        # Class and recipe names may hold dollar signs, which must not start math text.
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": PALE,
        "grid.linewidth": 0.8,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "lines.linewidth": 1.6,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": SMALL,
        # Names of elements in SVG files are made of this instead of random numbers.
        "svg.hashsalt": "alexrep",
    }


def _context() -> contextlib.AbstractContextManager[None]:
    return matplotlib.style.context(["default", settings()])


@contextlib.contextmanager
def canvas(height: float, width: float = WIDTH) -> Iterator[Picture]:
    """Yield an empty figure, to be drawn on in the shared style.

    Args:
        height: Height in inches, at `DPI` pixels each.
        width: Width in inches.
    """
    with _context():
        figure = Picture(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, out: Path) -> Path:
    """Write a figure to a file; equal figures give equal bytes.

    Args:
        figure: A figure that was drawn on a `canvas`.
        out: The file, .png or .svg; written whole or not at all.

    Returns:
        The file.

    Raises:
        ValueError: If it is of another format.
    """
    form = out.suffix[1:]
    if form not in FORMATS:
        raise ValueError(f"out: expected a file of {' or '.join(FORMATS)}, found {out}")
    with whole(out) as part, part.open("wb") as stream:
        _write(figure, stream, form)
    return out


def _write(figure: Figure, stream: Any, form: str) -> None:  # noqa: ANN401 (any file)
    unset = {"png": ["Software"], "svg": ["Creator", "Date"]}[form]
    with _context():
        figure.savefig(stream, format=form, metadata=dict.fromkeys(unset))


def page(figure: Figure) -> Axes:
    """Add invisible axes over the whole figure, in inches from the top left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    width, height = figure.get_size_inches()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return axes


def pixels(axes: Axes, image: NDArray[np.uint8], left: float, top: float) -> None:
    """Put an image on a page, each of its pixels one of the PNG file's.

    Args:
        axes: The page.
        image: RGB, (H, W, 3).
        left: Left edge, in inches; moved to the nearest pixel, as the top is.
        top: Upper edge.
    """
    height, width = (size / DPI for size in image.shape[:2])
    left, top = round(left * DPI) / DPI, round(top * DPI) / DPI
    extent = (left, left + width, top + height, top)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="none")


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place of the page, in inches."""
    across, down = figure.get_size_inches()
    rectangle = (left / across, 1 - (top + height) / down, width / across, height / down)
    return figure.add_axes(rectangle)


def title(figure: Figure, text: str, *lines: str) -> None:
    """Write the title at the top left, and below it the lines of the subtitle in grey.

    What is too long for the page ends in an ellipsis. The title takes 0.55 inches, margin
    included, and each line `LEADING`.
    """
    width, height = figure.get_size_inches()
    rows = [(text, TITLE, MARGIN, "bold", INK)]
    for number, line in enumerate(lines):
        rows.append((line, SUBTITLE, MARGIN + 0.27 + number * LEADING, "normal", QUIET))
    for string, size, top, weight, colour in rows:
        figure.text(
            MARGIN / width,
            1 - top / height,
            shorten(figure, string, width - 2 * MARGIN, size, weight),
            size=size,
            weight=weight,
            color=colour,
            va="top",
        )


def shorten(figure: Figure, text: str, width: float, size: float, weight: str = "normal") -> str:
    """Cut `text`, with an ellipsis, to at most `width` inches.

    Args:
        figure: The figure it will be drawn on.
        text: One line.
        width: Largest width, in inches.
        size: Font size, in points.
        weight: Font weight.
    """
    if text_width(figure, text, size, weight) <= width:
        return text
    while text and text_width(figure, text + ELLIPSIS, size, weight) > width:
        text = text[:-1].rstrip(" ,")
    return text + ELLIPSIS


def signed(number: float, form: str) -> str:
    """Format a number with its sign, with a minus sign as wide as the plus; none before zero."""
    text = f"{number:+{form}}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def text_width(figure: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line of text, in inches."""
    line = Text(0, 0, text, size=size, weight=weight)
    line.set_figure(figure)
    return line.get_window_extent().width / DPI


def spread(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Move places apart as little as is needed, as for labels that must not overlap.

    Args:
        places: Where they would be, in any order.
        distance: Least distance between two.
        low: Least place.
        high: Greatest place; passed where there is no room for all.

    Returns:
        The new places, in the order of `places`.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [min(max(places[index], low), high) for index in order]
    # Groups that touch move as one, to the mean of where their members would be.
    groups: list[tuple[float, int]] = []
    for place in moved:
        middle, size = place, 1
        while groups and middle - (size - 1) * distance / 2 < (
            groups[-1][0] + (groups[-1][1] + 1) * distance / 2
        ):
            other, num = groups.pop()
            middle, size = (middle * size + other * num) / (size + num), size + num
            half = (size - 1) * distance / 2
            middle = max(min(middle, high - half), low + half)
        groups.append((middle, size))
    placed = [
        middle + (number - (size - 1) / 2) * distance
        for middle, size in groups
        for number in range(size)
    ]
    back = dict(zip(order, placed, strict=True))
    return [back[index] for index in range(len(places))]
