"""Draws which classes are taken for which: the whole matrix, or of many classes its gist.

Shapes: K classes, B blocks of neighbouring classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from alexrep.errors import mismatch
from alexrep.evaluation import confusion
from alexrep.evaluation.confusion import Pair
from alexrep.runs.contents import NothingToShow, name_of, read_classes, read_scored
from alexrep.runs.results import Scored

from . import style
from .captions import about

Counts = NDArray[np.int64]

FEW = 20
"""Most classes of which every cell has its number."""
MOST_BLOCKS = 50
"""Most rows of the reduced matrix."""
TOP, PAIR, NUM_PAIRS = 1.2, 0.2, 20
"""Height of the title, of a line of the list; pairs in the list."""
NAMES, LABELS = 3.7, 1.35
"""Width of the names of a pair, and of a class beside the matrix, in inches."""
SIDE = 5.3
"""Side of the reduced matrix, in inches."""
EMPTY = "#F6F7F9"
"""Fill of a cell without images."""
WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", "#F5B48A", style.VERMILLION])


def draw(run: Path) -> Figure:
    """Draw which classes of the result that is shown are taken for which.

    Raises:
        NothingToShow: If results or class table are missing, or no label is known.
        DataError: If they are damaged.
    """
    scored, names = read_scored(run), read_classes(run)
    counts = confusion.matrix(scored.predictions, len(names))
    if not counts.any():
        advice = "score a split whose labels are public"
        raise NothingToShow(mismatch(scored.path, "images with labels", "none", advice))
    if len(names) <= FEW:
        return _draw_few(run, scored, counts, names)
    return _draw_many(run, scored, counts, names)


def blocks(counts: Counts, most: int = MOST_BLOCKS) -> tuple[Counts, list[int]]:
    """Reduce a matrix to the wrong images of blocks of neighbouring classes.

    Classes are in the order of their wnids, in which relatives stand together.

    Args:
        counts: Images by class and likeliest class, (K, K).
        most: At most so many blocks.

    Returns:
        Wrong images by block of their class and of the likeliest class, (B, B), and the first
        class of each block.
    """
    size = -(-len(counts) // most)
    starts = list(range(0, len(counts), size))
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    reduced: Counts = np.add.reduceat(np.add.reduceat(wrong, starts, axis=0), starts, axis=1)
    return reduced, starts


def _draw_few(run: Path, scored: Scored, counts: Counts, names: Sequence[str]) -> Figure:
    num = len(names)
    cell = min((style.WIDTH - 2 * style.MARGIN - LABELS) / num, 0.62)
    left, top = style.MARGIN + LABELS, TOP + _slanted(names)
    with style.canvas(top + num * cell + style.MARGIN) as figure:
        how = "row: true class; column: likeliest class; colour: share of the row"
        style.title(figure, f"{name_of(run)}: confusion", about(scored.result), how)
        page = style.page(figure)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        for row in range(num):
            y = top + row * cell
            for column in range(num):
                x = left + column * cell
                _cell(page, counts[row, column], shares[row, column], row == column, x, y, cell)
            _names(figure, page, names[row], left, y + cell / 2, left + row * cell, top, cell)
    return figure


def _slanted(names: Sequence[str]) -> float:
    """Return the height of the names above the columns."""
    with style.canvas(1.0) as figure:
        widest = max(style.text_width(figure, name, style.SMALL) for name in names)
    return 0.2 + min(widest, LABELS - 0.1) * 0.75


def _cell(
    page: Axes, count: int, share: float, is_right: bool, x: float, y: float, cell: float
) -> None:
    """Draw one cell: blue on the diagonal, orange off it, with its number if it has one."""
    full = np.array(to_rgb(style.BLUE if is_right else style.VERMILLION))
    # The root: one image of fifty must be told from none.
    colour = 1 - np.sqrt(share) * (1 - full) * 0.85
    fill = tuple(colour) if count else EMPTY
    page.add_patch(Rectangle((x, y), cell, cell, fc=fill, ec="white", lw=1.0))
    if count:
        look: dict[str, Any] = {"ha": "center", "va": "center", "size": style.SMALL}
        ink = "white" if share > 0.5 else style.INK
        page.text(x + cell / 2, y + cell / 2, f"{count:,}", color=ink, **look)


def _names(
    figure: Figure, page: Axes, name: str, left: float, y: float, x: float, top: float, cell: float
) -> None:
    """Write the name of a class beside its row and, slanted, above its column."""
    text = style.shorten(figure, name, LABELS - 0.1, style.SMALL)
    page.text(left - 0.08, y, text, size=style.SMALL, ha="right", va="center_baseline")
    look: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "size": style.SMALL}
    page.text(x + cell / 2, top - 0.07, text, ha="left", va="bottom", **look)


def _draw_many(run: Path, scored: Scored, counts: Counts, names: Sequence[str]) -> Figure:
    pairs = confusion.most_confused(counts, NUM_PAIRS)
    reduced, starts = blocks(counts)
    top = TOP + 0.3 + len(pairs) * PAIR + 0.5
    with style.canvas(top + 0.25 + SIDE + style.MARGIN + 0.15) as figure:
        style.title(figure, f"{name_of(run)}: confusion", about(scored.result))
        page = style.page(figure)
        what = "class, and what it was taken for" if pairs else "none, all images are right"
        page.text(style.MARGIN, TOP, f"Most confused pairs: {what}", weight="bold")
        for number, pair in enumerate(pairs):
            _pair(figure, page, pair, pairs[0].count, names, TOP + 0.3 + number * PAIR)
        size = starts[1] - starts[0] if len(starts) > 1 else 1
        text = f"Wrong images, by blocks of {size} neighbouring classes"
        if size == 1:
            text = "Wrong images, by class"
        page.text(style.MARGIN, top, text, weight="bold")
        _reduced(figure, reduced, [names[start] for start in starts], top + 0.25)
    return figure


def _pair(
    figure: Figure, page: Axes, pair: Pair, most: int, names: Sequence[str], y: float
) -> None:
    arrow = "\N{RIGHTWARDS ARROW}"
    half = NAMES / 2 - 0.2
    label = style.shorten(figure, names[pair.label], half, style.SMALL)
    taken = style.shorten(figure, names[pair.predicted], half, style.SMALL)
    look: dict[str, Any] = {"size": style.SMALL, "va": "center_baseline"}
    page.text(style.MARGIN, y, label, **look)
    page.text(style.MARGIN + NAMES / 2 - 0.14, y, arrow, color=style.QUIET, **look)
    page.text(style.MARGIN + NAMES / 2 + 0.08, y, taken, **look)
    left = style.MARGIN + NAMES + 0.1
    longest = style.WIDTH - style.MARGIN - left - 1.15
    length = longest * pair.count / most
    page.add_patch(Rectangle((left, y - 0.06), length, 0.12, fc=style.VERMILLION, ec="none"))
    text = f"{pair.count:,} ({100 * pair.fraction:.0f} %)"
    page.text(left + length + 0.07, y, text, color=style.QUIET, **look)


def _reduced(figure: Figure, reduced: Counts, names: Sequence[str], top: float) -> None:
    """Draw the reduced matrix, with the first class of every fifth block named."""
    left = style.MARGIN + LABELS
    axes = style.panel(figure, left, top, SIDE, SIDE)
    shown = axes.imshow(np.sqrt(reduced), cmap=WRONG, interpolation="none", aspect="equal")
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=style.LINE)
    ticks = list(range(0, len(names), 5))
    short = [style.shorten(figure, names[tick], LABELS - 0.15, style.SMALL) for tick in ticks]
    axes.set_yticks(ticks, short)
    axes.set_xticks(ticks, [""] * len(ticks))
    axes.set_xlabel("likeliest class, in the same order")
    bar = style.panel(figure, left + SIDE + 0.25, top, 0.13, SIDE)
    scale = figure.colorbar(shown, cax=bar)
    scale.outline.set_visible(False)
    most = int(reduced.max())
    marks = sorted({0, most, *(round(most * share, 1 - len(str(most))) for share in (0.1, 0.4))})
    bar.set_yticks(np.sqrt(marks), [f"{mark:,}" for mark in marks])
    bar.grid(visible=False)
