"""Draws the errors of each class: of a few all, of many the hardest, the easiest and the rest.

Lengths are in inches, from the top left corner of the page.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep.errors import mismatch
from alexrep.evaluation import confusion
from alexrep.evaluation.confusion import ClassErrors
from alexrep.runs.contents import NothingToShow, name_of, read_classes, read_scored

from . import panels, style
from .captions import about

FEW, NUM_LISTED = 30, 20
"""Most classes that are all listed; classes in each list of more."""
TOP, ROW, PANEL = 1.2, 0.2, 1.7
"""Height of the title, of a line of a list, and of the panel of all classes."""
GAP = 0.35
"""Space between two lists."""


def draw(run: Path) -> Figure:
    """Draw the top-1 and top-5 errors of each class of the result that is shown.

    Raises:
        NothingToShow: If results or class table are missing, or no label is known.
        DataError: If they are damaged.
    """
    scored, names = read_scored(run), read_classes(run)
    errors = confusion.of_classes(scored.predictions, len(names))
    order = errors.hardest()
    if not order:
        advice = "score a split whose labels are public"
        raise NothingToShow(mismatch(scored.path, "images with labels", "none", advice))
    title = f"{name_of(run)}: errors of each class"
    lines = about(scored.result), summary(errors)
    if len(order) <= FEW:
        with style.canvas(TOP + len(order) * ROW + style.MARGIN) as figure:
            style.title(figure, title, *lines)
            width = style.WIDTH - 2 * style.MARGIN
            _list(figure, errors, order, names, style.MARGIN, TOP + 0.1, width)
        return figure
    lists = TOP + PANEL + 0.95
    with style.canvas(lists + 0.2 + NUM_LISTED * ROW + style.MARGIN) as figure:
        style.title(figure, title, *lines)
        _all(figure, errors, order)
        page, width = style.page(figure), (style.WIDTH - 2 * style.MARGIN - GAP) / 2
        ends = {"Hardest": order[:NUM_LISTED], "Easiest": order[: -NUM_LISTED - 1 : -1]}
        for column, (head, chosen) in enumerate(ends.items()):
            left = style.MARGIN + column * (width + GAP)
            page.text(left, lists - 0.05, head, weight="bold")
            _list(figure, errors, chosen, names, left, lists + 0.2, width)
    return figure


def summary(errors: ClassErrors) -> str:
    """Return the second line of the subtitle: how the classes lie, and what the marks are."""
    known = errors.top1_error[errors.counts > 0]
    low, middle, high = 100 * np.quantile(known, [0.1, 0.5, 0.9])
    spread = f"median class {middle:.1f} %, tenths at {low:.1f} and {high:.1f} %"
    return f"{spread}; bar: top-1 error, dot: top-5"


def _all(figure: Figure, errors: ClassErrors, order: Sequence[int]) -> None:
    """Draw the errors of all classes, hardest first."""
    (panel,) = panels.stack(figure, [(TOP + 0.1, PANEL)])
    ranks = np.arange(1, len(order) + 1)
    top1, top5 = 100 * errors.top1_error[order], 100 * errors.top5_error[order]
    panels.name(panel, "error (%)")
    panels.scale_epochs(panel, float(len(order)), "classes, hardest first")
    panels.scale_from_zero(panel, np.append(top1, top5))
    panel.fill_between(ranks, 0, top1, color=style.VERMILLION, alpha=0.35, lw=0)
    panel.plot(ranks, top5, ".", ms=2.0, color=style.INK, scalex=False, scaley=False)
    text = f"mean top-1 {np.mean(top1):.1f} %"
    ends = [panels.End(float(np.mean(top1)), text, style.VERMILLION)]
    ends.append(panels.End(float(np.mean(top5)), f"top-5 {np.mean(top5):.1f} %", style.INK))
    panels.label_ends(panel, ends)


def _list(
    figure: Figure,
    errors: ClassErrors,
    chosen: Sequence[int],
    names: Sequence[str],
    left: float,
    top: float,
    width: float,
) -> None:
    """List classes with their errors as bars, all on one scale of 0 to 100 %."""
    page, room = style.page(figure), 1.35 if width < 5 else 1.9
    longest = width - room - 0.95
    for number, index in enumerate(chosen):
        y, error = top + number * ROW, float(errors.top1_error[index])
        name = style.shorten(figure, names[index], room - 0.1, style.SMALL)
        look: dict[str, Any] = {"size": style.SMALL, "va": "center_baseline"}
        page.text(left, y, name, **look)
        _bar(page, left + room, y, longest, error, float(errors.top5_error[index]))
        text = f"{100 * error:.0f} % of {errors.counts[index]:,}"
        page.text(left + width, y, text, ha="right", color=style.QUIET, **look)


def _bar(page: Axes, left: float, y: float, longest: float, top1: float, top5: float) -> None:
    for length, colour in ((longest, "#F4F6F8"), (longest * top1, "#EFA673")):
        page.add_patch(Rectangle((left, y - 0.065), length, 0.13, fc=colour, ec="none"))
    page.plot([left + longest * top5], [y], "o", ms=3.2, color=style.INK)
