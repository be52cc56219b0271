"""Draws whether a network is right as often as it is sure: the reliability diagram, with counts."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.stats import binomtest

from alexrep.errors import mismatch
from alexrep.evaluation import calibration
from alexrep.evaluation.calibration import Reliability
from alexrep.runs.contents import NothingToShow, name_of, read_scored

from . import panels, style
from .captions import about

HEIGHT, ROWS = 6.6, ((1.15, 3.5), (4.85, 1.1))
"""Height of the page; top and height of the panels, in inches."""


def draw(run: Path) -> Figure:
    """Draw accuracy by confidence of the result that is shown.

    Raises:
        NothingToShow: If there is no result, or no label is known.
        DataError: If it is damaged.
    """
    scored = read_scored(run)
    bins = calibration.reliability(scored.predictions)
    if not bins.counts.any():
        advice = "score a split whose labels are public"
        raise NothingToShow(mismatch(scored.path, "images with labels", "none", advice))
    with style.canvas(HEIGHT) as figure:
        lines = about(scored.result), summary(bins)
        style.title(figure, f"{name_of(run)}: calibration", *lines)
        accuracy, counts = panels.stack(figure, ROWS)
        counts.set_xlim(0, 100)
        counts.set_xlabel("confidence: probability of the likeliest class (%)")
        _accuracy(accuracy, bins)
        _counts(counts, bins)
    return figure


def summary(bins: Reliability) -> str:
    """Return the second line of the subtitle: accuracy and confidence over all images."""
    num = bins.counts.sum()
    accuracy, confidence = (
        100 * float(np.nansum(values * bins.counts)) / num
        for values in (bins.accuracy, bins.confidence)
    )
    error = f"expected calibration error {100 * bins.error:.1f} %"
    return f"{error}; right {accuracy:.1f} %, mean confidence {confidence:.1f} %"


def _accuracy(panel: Axes, bins: Reliability) -> None:
    """Draw a bar for each bin, its 95 % interval, and the line of perfect calibration."""
    panels.name(panel, "right answers (%)")
    panel.set_ylim(0, 100)
    lefts, width = 100 * bins.edges[:-1], 100 / len(bins.counts)
    has_images = bins.counts > 0
    heights = 100 * bins.accuracy[has_images]
    panel.bar(lefts[has_images], heights, width, align="edge", color="#D9E9F4", ec="white", lw=0.8)
    for index in np.flatnonzero(has_images):
        num, right = int(bins.counts[index]), round(bins.accuracy[index] * bins.counts[index])
        interval = binomtest(right, num).proportion_ci(method="wilson")
        middle, ends = 100 * bins.confidence[index], (100 * interval.low, 100 * interval.high)
        panel.plot([middle, middle], ends, color=style.BLUE, lw=1.2)
        panel.plot(
            [middle], [100 * bins.accuracy[index]], "o", ms=4.5, color=style.BLUE, clip_on=False
        )
    panel.plot([0, 100], [0, 100], color=style.QUIET, lw=1.0, ls=(0, (4, 3)))
    last = 100 * float(bins.accuracy[has_images][-1])
    labels = ("this network", last, style.BLUE), ("perfect", 100.0, style.QUIET)
    panels.label_ends(panel, [panels.End(value, text, ink) for text, value, ink in labels])


def _counts(panel: Axes, bins: Reliability) -> None:
    panels.name(panel, "images")
    width = 100 / len(bins.counts)
    panel.bar(100 * bins.edges[:-1], bins.counts, width, align="edge", color=style.LINE, ec="white")
    panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
