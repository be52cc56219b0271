"""Draws images, each with those beside it that a network finds most like it.

Lengths are in inches, from the top left corner of the page.

Source: Krizhevsky et al. 2012, figure 4, right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep.runs.contents import Pixels

from . import style

MOST_ROWS, MOST_NEAR = 10, 6
"""Most queries in a picture, and most neighbours of each."""
SPACE, AFTER_QUERY = 0.1, 0.3
"""Space between two images, and after the query, in inches."""
CELL = (style.WIDTH - 2 * style.MARGIN - AFTER_QUERY - (MOST_NEAR - 1) * SPACE) / (MOST_NEAR + 1)
"""Side of an image, in inches."""
TOP, CAPTION = 1.16, 0.46
"""Height of the title, and of the two lines below an image, in inches."""
FRAME = 1.8
"""Width of a frame, in points."""


@dataclass(frozen=True)
class Neighbour:
    """An image that was found, with what stands below it."""

    image: Pixels
    """RGB, (side, side, 3)."""
    name: str
    """First name of its class."""
    distance: float
    """Its distance from the query."""


@dataclass(frozen=True)
class Row:
    """A query and its neighbours, nearest first."""

    image: Pixels
    """The query, RGB, (side, side, 3)."""
    name: str
    """First name of its class, or what the image is called."""
    has_class: bool
    """Whether `name` is that of its class, so that others of the same class can be marked."""
    nearest: Sequence[Neighbour]
    """One or more."""


def draw(rows: Sequence[Row], title: str, what: str) -> Figure:
    """Draw the first MOST_ROWS queries with MOST_NEAR neighbours each.

    Args:
        rows: One or more queries.
        title: The title.
        what: What the numbers below the neighbours are.
    """
    rows = rows[:MOST_ROWS]
    has_classes = any(row.has_class for row in rows)
    frames = ["green frames: of the query's class"] if has_classes else []
    with style.canvas(TOP + len(rows) * (CELL + CAPTION) + style.MARGIN / 2) as figure:
        style.title(figure, title, what, *frames)
        axes = style.page(figure)
        for number, row in enumerate(rows):
            _draw_row(figure, axes, row, TOP + number * (CELL + CAPTION))
    return figure


def _draw_row(figure: Figure, axes: Axes, row: Row, y: float) -> None:
    """Draw a query at the left and its neighbours to the right of it."""
    x = style.MARGIN
    _draw_cell(figure, axes, (x, y), row.image, style.INK, row.name, "query")
    x += CELL + AFTER_QUERY
    for near in row.nearest[:MOST_NEAR]:
        is_same = row.has_class and near.name == row.name
        colour = style.GREEN if is_same else style.LINE
        _draw_cell(figure, axes, (x, y), near.image, colour, near.name, f"{near.distance:#.4g}")
        x += CELL + SPACE


def _draw_cell(
    figure: Figure,
    axes: Axes,
    corner: tuple[float, float],
    image: Pixels,
    colour: str,
    name: str,
    below: str,
) -> None:
    x, y = corner
    extent = (x, x + CELL, y + CELL, y)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos")
    axes.add_patch(Rectangle((x, y), CELL, CELL, fc="none", ec=colour, lw=FRAME))
    middle = x + CELL / 2
    short = style.shorten(figure, name, CELL + SPACE - 0.04, style.TEXT)
    axes.text(middle, y + CELL + 0.13, short, size=style.TEXT, ha="center", va="center_baseline")
    axes.text(
        middle,
        y + CELL + 0.29,
        below,
        size=style.SMALL,
        color=style.QUIET,
        ha="center",
        va="center_baseline",
    )
