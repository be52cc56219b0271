"""Draws the panel of learning rates and colour noise, below the curves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from alexrep.runs.history import Floats, History, changes

from . import panels, style

MAX_MARKS = 12
"""Most changes that are marked across the panels; with more, the rates themselves suffice."""
SHADE: dict[str, Any] = {"color": style.PURPLE, "alpha": 0.22, "lw": 0}
"""Style of the shade over epochs with colour noise."""


def draw_rates(panel: Axes, history: History) -> None:
    """Draw the rates as steps on a logarithmic axis, shaded where the colour noise is on."""
    panels.name(panel, "rate")
    rows = [row for row in history.epochs if row.get("weights_rate") is not None]
    if not rows:
        panel.set_yticks([])
        centred: dict[str, Any] = {"transform": panel.transAxes, "ha": "center", "va": "center"}
        panel.text(0.5, 0.5, "no epoch finished yet", color=style.QUIET, **centred)
        return
    finished = History(rows, history.step_at, history.step_loss, history.in_epochs)
    ends, weights, biases = (
        finished.column(key) for key in ("epoch", "weights_rate", "biases_rate")
    )
    edges = np.append(ends[:1] - 1, ends)
    _noise(panel, edges, [row.get("noise") is True for row in rows])
    _steps(panel, edges, weights, "rate of weights", style.INK, "-")
    _steps(panel, edges, biases, "rate of biases", style.GREEN, "--")
    _scale(panel, [*weights, *biases])
    handles = [*panel.get_legend_handles_labels()[0], Patch(label="colour noise on", **SHADE)]
    if marked(history):
        handles.append(Line2D([], [], label="rates or noise change", **panels.DASHES))
    panels.legend(panel, handles)


def marked(history: History) -> list[float]:
    """Return the epochs at which to mark changes across the panels."""
    epochs = changes(history)
    return epochs if len(epochs) <= MAX_MARKS else []


def _noise(panel: Axes, edges: Floats, is_on: list[bool]) -> None:
    heights = panel.get_xaxis_transform()
    panel.stairs(np.array(is_on, dtype=float), edges, fill=True, transform=heights, **SHADE)


def _steps(panel: Axes, edges: Floats, rate: Floats, label: str, colour: str, line: str) -> None:
    panel.stairs(rate, edges, baseline=None, color=colour, lw=1.6, ls=line, label=label)


def _scale(panel: Axes, rates: Iterable[float]) -> None:
    """Set a log axis from power of ten to power of ten; a rate of 0 lies below it."""
    logs = [np.log10(rate) for rate in rates if rate > 0] or [-2.0]
    panel.set_yscale("log")
    panel.set_ylim(10 ** np.floor(min(logs) - 0.05), 10 ** np.ceil(max(logs) + 0.05))
    panel.yaxis.set_major_locator(LogLocator(10, numticks=4))
    panel.yaxis.set_minor_locator(NullLocator())
    short = FuncFormatter(lambda value, _: f"{value:g}".replace("e-0", "e-"))
    panel.yaxis.set_major_formatter(short)
