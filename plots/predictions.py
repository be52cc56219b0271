"""Draws a sheet of scored images, each with its likeliest classes as bars.

Lengths are in inches, from the top left corner of the page.

Source: Krizhevsky et al. 2012, figure 4, left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep import keyed
from alexrep.errors import DataError, mismatch
from alexrep.runs.contents import (
    NothingToShow,
    Pixels,
    name_of,
    read_classes,
    read_scored,
)
from alexrep.runs.results import Predictions, Scored

from . import style
from .captions import about

BLOCK, PER_ROW = 10, 5
"""Most images in a block, and images in a row."""
SPACE = 0.2
CELL = (style.WIDTH - 2 * style.MARGIN - (PER_ROW - 1) * SPACE) / PER_ROW
"""Space between two images and side of one, in inches."""
TOP, HEAD, NAME, BAR, BELOW = 1.35, 0.36, 0.27, 0.165, 0.26
"""Heights of title, a block's head, true class, bar and space below a row, in inches."""
LEGEND = 0.36
"""Height of the legend, which is left out where no true class is known, in inches."""
LONGEST_BAR = CELL - 0.41
"""Length of a bar of probability 1, in inches; the number is to the right of it."""
_BARS = {
    "centre": "bars: probabilities of the centre patch",
    "ten-crop": "bars: probabilities averaged over ten patches",
}
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
    caption: str = "class unknown"
    """What stands below the image in the place of an unknown true class."""

    @property
    def frame(self) -> str:
        """Colour of the frame: likeliest class right, wrong, or true class unknown."""
        if self.name is None:
            return style.LINE
        return style.GREEN if self.bars[0].is_right else style.VERMILLION


def draw(run: Path) -> Figure:
    """Draw a random sample of the scored images, and below it some that were taken for others.

    Raises:
        NothingToShow: If results or class table are missing, or hold no images.
        DataError: If they are damaged.
    """
    scored = read_scored(run)
    result, images = scored.result, scored.predictions.sheet_images
    sheet = cards(scored, read_classes(run))
    if not sheet:
        what = scored.path, "images for the sheet", "none", "run alexrep eval again"
        raise NothingToShow(mismatch(*what))
    blocks = arrange(scored.predictions)
    row_height = _row_height(sheet[0])
    num_rows = sum(math.ceil(len(rows) / PER_ROW) for rows in blocks.values())
    with style.canvas(TOP + HEAD * len(blocks) + num_rows * row_height) as figure:
        style.title(
            figure, f"{name_of(run)}: likeliest classes", about(result), _BARS[result.views]
        )
        axes, y = style.page(figure), TOP
        _legend(figure, axes)
        for head, chosen in blocks.items():
            axes.text(style.MARGIN, y + 0.2, head, weight="bold")
            y += HEAD
            shown = [(sheet[index], images[index]) for index in chosen]
            y += _block(figure, axes, shown, y)
    return figure


def draw_sheet(shown: Sequence[tuple[Card, Pixels]], title: str, *lines: str) -> Figure:
    """Draw images whose true classes nobody knows, each with its likeliest classes.

    Args:
        shown: One or more cards, with equally many bars, and their images, (side, side, 3).
        title: The title.
        *lines: Lines of the subtitle.
    """
    top = TOP - LEGEND
    num_rows = math.ceil(len(shown) / PER_ROW)
    with style.canvas(top + num_rows * _row_height(shown[0][0])) as figure:
        style.title(figure, title, *lines)
        _block(figure, style.page(figure), shown, top)
    return figure


def _row_height(card: Card) -> float:
    return CELL + NAME + BAR * len(card.bars) + BELOW


def _block(figure: Figure, axes: Axes, shown: Sequence[tuple[Card, Pixels]], y: float) -> float:
    """Draw images in rows from `y` on; return the height that they take."""
    row_height = _row_height(shown[0][0])
    for number, (card, image) in enumerate(shown):
        row, column = divmod(number, PER_ROW)
        x, top = style.MARGIN + column * (CELL + SPACE), y + row * row_height
        _image(axes, image, card.frame, x, top)
        _labels(figure, axes, card, x, top + CELL)
    return math.ceil(len(shown) / PER_ROW) * row_height


def arrange(predictions: Predictions) -> dict[str, list[int]]:
    """Choose from the sheet's images, for each block by its head.

    The sample is the first of the scored images in a random order, whatever was said of them.
    """
    labels, rows = predictions.labels, [int(row) for row in predictions.sheet_rows]
    is_wrong = (labels >= 0) & (predictions.top5[:, 0] != labels)
    place = {row: index for index, row in enumerate(rows)}
    shuffled = (int(row) for row in keyed.permutation(len(labels), 0))
    sample = [place[row] for row in takewhile(place.__contains__, shuffled)][:BLOCK]
    others = [index for index, row in enumerate(rows) if is_wrong[row] and index not in sample]
    num_wrong = sum(bool(is_wrong[rows[index]]) for index in sample)
    num_others, shown = int(is_wrong.sum()) - num_wrong, others[:BLOCK]
    which = (
        f"{len(shown)} of the {num_others:,}" if len(shown) < num_others else f"all {num_others}"
    )
    blocks = {
        f"A random {len(sample)} of the {len(labels):,} images, {num_wrong} of them wrong": sample,
        f"Wrong ones among the others: {which}": shown,
    }
    return {head: indices for head, indices in blocks.items() if indices}


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
    x, y = style.MARGIN, TOP - 0.24
    for face, edge, text in entries:
        axes.add_patch(Rectangle((x + 0.01, y), 0.24, 0.13, fc=face, ec=edge, lw=1.8))
        axes.text(x + 0.32, y + 0.065, text, size=style.SMALL, va="center_baseline")
        x += 0.55 + style.text_width(figure, text, style.SMALL)


def _image(axes: Axes, image: Pixels, frame: str, x: float, y: float) -> None:
    extent = (x, x + CELL, y + CELL, y)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos")
    axes.add_patch(Rectangle((x, y), CELL, CELL, fc="none", ec=frame, lw=1.8))


def _labels(figure: Figure, axes: Axes, card: Card, x: float, y: float) -> None:
    """Write the true class and draw the bars, with their names on them."""
    name = card.caption if card.name is None else card.name
    short = style.shorten(figure, name, CELL + SPACE - 0.06, style.TEXT, "bold")
    middle = x + CELL / 2
    axes.text(
        middle,
        y + NAME / 2,
        short,
        size=style.TEXT,
        weight="bold",
        ha="center",
        va="center_baseline",
    )
    for index, bar in enumerate(card.bars):
        _bar(figure, axes, bar, x, y + NAME + index * BAR)


def _bar(figure: Figure, axes: Axes, bar: Bar, x: float, y: float) -> None:
    height, middle = BAR - 0.025, y + (BAR - 0.025) / 2
    colour = RIGHT_BAR if bar.is_right else OTHER_BAR
    for length, face in ((LONGEST_BAR, TRACK), (bar.probability * LONGEST_BAR, colour)):
        axes.add_patch(Rectangle((x, y), length, height, fc=face, ec="none"))
    short = style.shorten(figure, bar.name, LONGEST_BAR - 0.06, style.SMALL)
    axes.text(x + 0.04, middle, short, size=style.SMALL, va="center_baseline")
    number = f"{percent(bar.probability)} %"
    axes.text(
        x + CELL,
        middle,
        number,
        size=style.SMALL,
        color=style.QUIET,
        ha="right",
        va="center_baseline",
    )
