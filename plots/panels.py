"""Panels with a shared axis of epochs, and labels at the ends of their lines.

Lengths are in inches, from the top left corner of the page.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from alexrep.runs.history import Floats

from . import style

LEFT, RIGHT, NAME = 0.85, 6.4, 0.36
"""Left and right edge of the panels, and x of their names."""
LABEL = 0.15
"""Least distance between two labels."""
ROOM = style.WIDTH - RIGHT - 0.12 - 0.1
"""Width that a label may have."""
DASHES: dict[str, Any] = {"color": style.LINE, "lw": 0.8, "ls": (0, (4, 3))}
"""Line style of the marks at changes."""
SMALL_ERROR, MANY_TIMES = 5.0, 20.0
"""Errors have a log axis if the smallest is under so many percent, the largest so many times it."""


class End(NamedTuple):
    """The end of a line, to be labelled."""

    value: float
    """Where it ends, on the vertical axis."""
    text: str
    colour: str


def stack(figure: Figure, rows: Sequence[tuple[float, float]]) -> list[Axes]:
    """Add a panel for each (top, height) of `rows`; only the lowest has labels of epochs."""
    panels = [style.panel(figure, LEFT, top, RIGHT - LEFT, height) for top, height in rows]
    for panel in panels[:-1]:
        panel.sharex(panels[-1])
        panel.tick_params(labelbottom=False, bottom=False)
    return panels


def name(panel: Axes, text: str) -> None:
    """Label the vertical axis, at the same x in every panel."""
    panel.set_ylabel(text)
    panel.yaxis.set_label_coords((NAME - LEFT) / (RIGHT - LEFT), 0.5)


def scale_epochs(lowest: Axes, end: float, text: str) -> None:
    """Scale and label the axis that the panels share, from 0 to `end`."""
    end = end or 1.0
    lowest.set_xlim(-0.012 * end, 1.012 * end)
    lowest.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10]))
    lowest.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    lowest.set_xlabel(text)


def mark(panels: Iterable[Axes], epochs: Iterable[float]) -> None:
    """Draw a dashed line across all panels at each of `epochs`."""
    for epoch in epochs:
        for panel in panels:
            panel.axvline(epoch, zorder=1, **DASHES)


def scale_errors(panel: Axes, errors: Floats) -> float:
    """Scale an axis of errors in percent, on a log axis where small ones would not be told apart.

    Args:
        panel: The panel.
        errors: Everything that will be drawn in it, in percent; NaN is passed over.

    Returns:
        The least value to draw: zeros stand at the foot of a log axis, which says so.
    """
    finite = errors[np.isfinite(errors)]
    positive = finite[finite > 0]
    least, most = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    if least >= SMALL_ERROR or most / least < MANY_TIMES:
        scale_from_zero(panel, finite)
        return 0.0
    has_zero = bool((finite == 0).any())
    foot = float(least / 2 if has_zero else least / 1.3)
    panel.set_yscale("log")
    panel.set_ylim(foot, min(130.0, 1.3 * most))
    panel.yaxis.set_minor_locator(NullLocator())
    ticks = [x for x in _one_three(foot, float(most)) if x > 1.3 * foot or not has_zero]
    panel.set_yticks([foot, *ticks] if has_zero else ticks)
    text = FuncFormatter(lambda value, _: "0" if has_zero and value <= foot else f"{value:g}")
    panel.yaxis.set_major_formatter(text)
    return foot


def _one_three(low: float, high: float) -> list[float]:
    """Return 1 and 3 times the powers of ten between two values."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [float(f"{digit}e{power}") for power in powers for digit in (1, 3)]
    return [value for value in values if low <= value <= 1.3 * high]


def scale_from_zero(panel: Axes, values: Floats) -> None:
    """Scale an axis from 0 to a little over the largest finite value."""
    finite = values[np.isfinite(values)]
    panel.set_ylim(0, max(1.05 * float(finite.max()), 1e-3) if finite.size else 1.0)
    panel.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def scale_rates(panel: Axes, rates: Iterable[float]) -> None:
    """Scale a log axis from power of ten to power of ten; a rate of 0 lies below it."""
    logs = [np.log10(rate) for rate in rates if rate > 0] or [-2.0]
    panel.set_yscale("log")
    panel.set_ylim(10 ** np.floor(min(logs) - 0.05), 10 ** np.ceil(max(logs) + 0.05))
    panel.yaxis.set_major_locator(LogLocator(10, numticks=4))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))


def rate(value: float) -> str:
    """Format a learning rate: 0.01, 0.0015, 3e-4."""
    text = f"{value:.3g}" if value >= 1e-3 or value == 0 else f"{value:.3e}"
    mantissa, _, exponent = text.partition("e-")
    return f"{float(mantissa):g}e-{int(exponent)}" if exponent else text


def percent(value: float) -> str:
    """Format an error in percent: 42.9 %, and under one 0.33 %."""
    return f"{value:.1f} %" if value >= 0.95 or value == 0 else f"{value:.2f} %"


def num_labels(panel: Axes) -> int:
    """Return how many labels there is room for beside a panel."""
    figure = panel.get_figure(root=True)
    assert figure is not None  # noqa: S101 (panels are made on one)
    return 1 + int(panel.get_position().height * figure.get_size_inches()[1] / LABEL)


def label_ends(panel: Axes, ends: Sequence[End]) -> None:
    """Write the labels of lines to the right of a panel, where they end, but never on each other.

    The limits of the axes must be their last ones.
    """
    figure = panel.get_figure(root=True)
    if figure is None or not ends:
        return
    height = panel.get_position().height * figure.get_size_inches()[1]
    to_axes = panel.transData + panel.transAxes.inverted()
    x = panel.get_xlim()[0]
    wanted = [float(to_axes.transform((x, end.value))[1]) for end in ends]
    placed = style.spread(wanted, LABEL / height, 0.0, 1.0)
    for end, at, place in zip(ends, wanted, placed, strict=True):
        text = style.shorten(figure, end.text, ROOM, style.SMALL)
        look: dict[str, Any] = {"transform": panel.transAxes, "clip_on": False}
        knee = [1.0, 1.008, 1.016], [min(max(at, 0), 1), place, place]
        panel.plot(*knee, color=end.colour, lw=0.7, scalex=False, scaley=False, **look)
        look |= {"color": end.colour, "size": style.SMALL, "va": "center_baseline"}
        panel.text(1.022, place, text, **look)


def draw_level(panel: Axes, value: float) -> None:
    """Draw a thin line across a panel at a published value."""
    panel.axhline(value, color=style.QUIET, lw=0.8, ls=(0, (1, 2)), zorder=1)


def last(places: Floats, values: Floats) -> tuple[float, float] | None:
    """Return place and value of the last finite value; None if there is none."""
    finite = np.flatnonzero(np.isfinite(values))
    return (float(places[finite[-1]]), float(values[finite[-1]])) if finite.size else None
