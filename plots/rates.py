"""Draws the panel of learning rates and colour noise, below the curves."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from alexrep.runs.history import Floats, History, changes

from . import panels, style
from .panels import End

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
    panel.stairs(weights, edges, baseline=None, color=style.INK, lw=1.4)
    panel.stairs(biases, edges, baseline=None, color=style.GREEN, lw=1.4, ls="--")
    panels.scale_rates(panel, [*weights, *biases])
    foot = panel.get_ylim()[0]
    named = (("biases", biases[-1], style.GREEN), ("weights", weights[-1], style.INK))
    labels = [End(max(rate, foot), f"{text} {panels.rate(rate)}", ink) for text, rate, ink in named]
    panels.label_ends(panel, [end for end in labels if np.isfinite(end.value)])


def marked(history: History) -> list[float]:
    """Return the epochs at which to mark changes across the panels."""
    epochs = changes(history)
    return epochs if len(epochs) <= MAX_MARKS else []


def _noise(panel: Axes, edges: Floats, is_on: list[bool]) -> None:
    heights = panel.get_xaxis_transform()
    panel.stairs(np.array(is_on, dtype=float), edges, fill=True, transform=heights, **SHADE)
    if any(is_on):
        left = float(edges[is_on.index(True)]) + 0.008 * panel.get_xlim()[1]
        look: Any = {"size": style.SMALL, "color": style.QUIET, "transform": heights}
        panel.text(left, 0.08, "colour noise on", **look)
