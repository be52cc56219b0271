"""Draws a sheet of scored images, each with its likeliest classes as bars.

Lengths are in inches, from the top left corner of the page.

Source: Krizhevsky et al. 2012, figure 4, left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep.errors import DataError, mismatch
from alexrep.runs.contents import (
    NothingToShow,
    Pixels,
    read_classes,
    read_recipe,
    read_scored,
)
from alexrep.runs.results import Predictions, Scored

from . import style

MAX_IMAGES, PER_ROW = 24, 6
"""Most images on a sheet, and images in a row."""
CELL, SPACE = 1.6, 0.24
"""Side of an image and space between two, in inches."""
TOP, NAME, BAR, BELOW = 1.3, 0.28, 0.17, 0.26
"""Heights of title, true class, bar and space below a row, in inches."""
LONGEST_BAR = CELL - 0.39
"""Length of a bar of probability 1, in inches; the number is to the right of it."""
RIGHT_BAR, OTHER_BAR, TRACK = "#8AD3BB", "#CBD3DB", "#F4F6F8"


@dataclass(frozen=True)
class Bar:
    """One likely class of one image."""

    name: str
    """First name of the class."""
    probability: float
    """Probability, and length of the bar as a fraction of the longest."""
    is_right: bool
    """Whether it is the true class."""


@dataclass(frozen=True)
class Card:
    """Text and bars below one image."""

    name: str | None
    """First name of the true class; None if unknown."""
    bars: tuple[Bar, ...]
    """The likeliest classes, likeliest first."""

    @property
    def frame(self) -> str:
        """Colour of the frame: likeliest class right, wrong, or true class unknown."""
        if self.name is None:
            return style.LINE
        return style.GREEN if self.bars[0].is_right else style.VERMILLION


def draw(run: Path, out: Path) -> None:
    """Draw the first `MAX_IMAGES` images that eval kept into the PNG file `out`.

    Raises:
        NothingToShow: If results or class table are missing, or hold no images.
        DataError: If they are damaged.
    """
    recipe, scored = read_recipe(run), read_scored(run)
    result, images = scored.result, scored.predictions.sheet_images
    sheet = cards(scored, read_classes(run))[:MAX_IMAGES]
    if not sheet:
        what = scored.path, "images for the sheet", "none", "run alexrep eval again"
        raise NothingToShow(mismatch(*what))
    row_height = CELL + NAME + BAR * len(sheet[0].bars) + BELOW
    height = TOP + math.ceil(len(sheet) / PER_ROW) * row_height - BELOW + style.MARGIN
    width = 2 * style.MARGIN + PER_ROW * (CELL + SPACE) - SPACE
    with style.canvas(out, width, height) as figure:
        title = f"{recipe.name}: likeliest classes of {result.split} images, {result.views}"
        style.title(figure, title, summary(scored))
        axes = style.page(figure)
        _legend(figure, axes)
        for index, card in enumerate(sheet):
            row, column = divmod(index, PER_ROW)
            x, y = style.MARGIN + column * (CELL + SPACE), TOP + row * row_height
            _image(axes, images[index], card.frame, x, y)
            _labels(figure, axes, card, x, y + CELL)


def cards(scored: Scored, names: Sequence[str]) -> list[Card]:
    """Return the card of every sheet image, in order.

    Args:
        scored: The scored images.
        names: Names of classes, by class index.

    Raises:
        DataError: If a class index or a row lies outside its table.
    """
    try:
        predictions = scored.predictions
        return [_card(predictions, row, names) for row in predictions.sheet_rows]
    except (IndexError, ValueError) as error:
        message = mismatch(scored.path, "rows and classes of this run", error, "run eval again")
        raise DataError(message) from None


def summary(scored: Scored) -> str:
    """Return the subtitle: which of the scored images are shown, and what the bars are.

    The share of wrong answers on the sheet is not the error: eval keeps some on purpose.
    """
    result, predictions = scored.result, scored.predictions
    labels, rows = predictions.labels, predictions.sheet_rows[:MAX_IMAGES]
    is_wrong = (labels >= 0) & (predictions.top5[:, 0] != labels)
    wrong = f"{is_wrong[rows].sum()} of the {is_wrong.sum():,} wrong ones among them"
    bars = "probabilities of the centre crop"
    if result.views == "ten-crop":
        bars = "probabilities averaged over ten crops"
    which = "" if result.checkpoint == "last" else f"; checkpoint {result.checkpoint}"
    return f"{len(rows)} of {len(labels):,} images scored, {wrong}; {bars}{which}"


def percent(probability: float) -> str:
    """Format a probability as percent in at most four characters."""
    text = f"{100 * probability:.1f}"
    return "100" if text == "100.0" else text


def _card(predictions: Predictions, row: int, names: Sequence[str]) -> Card:
    label = int(predictions.labels[row])
    likely = zip(predictions.top5[row], predictions.probabilities[row], strict=True)
    bars = tuple(Bar(names[index], float(p), index == label) for index, p in likely)
    return Card(names[label] if label >= 0 else None, bars)


def _legend(figure: Figure, axes: Axes) -> None:
    """Draw the legend of the colours in one line above the sheet."""
    right, wrong, none = style.GREEN, style.VERMILLION, "none"
    entries = (
        (RIGHT_BAR, none, "true class"),
        (OTHER_BAR, none, "another class"),
        (none, right, "likeliest class right"),
        (none, wrong, "likeliest class wrong"),
    )
    x, y = style.MARGIN, TOP - 0.36
    for face, edge, text in entries:
        axes.add_patch(Rectangle((x + 0.01, y), 0.24, 0.13, fc=face, ec=edge, lw=1.8))
        axes.text(x + 0.32, y + 0.065, text, size=8.5, va="center_baseline")
        x += 0.6 + style.text_width(figure, text, 8.5)


def _image(axes: Axes, image: Pixels, frame: str, x: float, y: float) -> None:
    extent = (x, x + CELL, y + CELL, y)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos")
    axes.add_patch(Rectangle((x, y), CELL, CELL, fc="none", ec=frame, lw=1.8))


def _labels(figure: Figure, axes: Axes, card: Card, x: float, y: float) -> None:
    """Write the true class and draw the bars, with their names on them."""
    name = "class unknown" if card.name is None else card.name
    short = style.shorten(figure, name, CELL + SPACE - 0.06, 9.0, "bold")
    middle = x + CELL / 2
    axes.text(middle, y + NAME / 2, short, size=9, weight="bold", ha="center", va="center_baseline")
    for index, bar in enumerate(card.bars):
        _bar(figure, axes, bar, x, y + NAME + index * BAR)


def _bar(figure: Figure, axes: Axes, bar: Bar, x: float, y: float) -> None:
    height, middle = BAR - 0.025, y + (BAR - 0.025) / 2
    colour = RIGHT_BAR if bar.is_right else OTHER_BAR
    for length, face in ((LONGEST_BAR, TRACK), (bar.probability * LONGEST_BAR, colour)):
        axes.add_patch(Rectangle((x, y), length, height, fc=face, ec="none"))
    short = style.shorten(figure, bar.name, LONGEST_BAR - 0.07, 7.2)
    axes.text(x + 0.05, middle, short, size=7.2, va="center_baseline")
    number = f"{percent(bar.probability)} %"
    axes.text(
        x + CELL, middle, number, size=6.5, color=style.QUIET, ha="right", va="center_baseline"
    )
