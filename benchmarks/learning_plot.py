"""Draws the running training loss by step for each initialisation and seed, and its target.

Shapes: S steps, W steps of the running mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from alexrep.plots import panels, style

WIDTH, HEIGHT = 7.4, 4.9
TOP, BOTTOM = 1.15, 0.65
"""Room above and below the panel, in inches."""
LOOKS: dict[str, dict[str, Any]] = {
    "code": {"label": "source: 0.03 in conv3 to conv5", "color": style.BLUE, "ls": "-"},
    "paper": {"label": "paper: 0.01", "color": style.VERMILLION, "ls": (0, (4, 2))},
}
NAMES = {"code": "source", "paper": "paper"}


@dataclass(frozen=True)
class Curve:
    """The running loss of one run."""

    initialisation: str
    """`code` or `paper`."""
    seed: int
    steps: NDArray[np.int64]
    """Last step of each mean, from W, (S - W + 1,)."""
    losses: NDArray[np.float64]
    """Mean over W steps, (S - W + 1,)."""

    def crossing(self, target: float) -> int | None:
        """Return the first step at which the running loss is under `target`; None if none."""
        under = np.flatnonzero(self.losses < target)
        return int(self.steps[under[0]]) if len(under) else None


def running(initialisation: str, seed: int, losses: Sequence[float], window: int) -> Curve:
    """Average the losses of single steps.

    Args:
        initialisation: `code` or `paper`.
        seed: Seed of the run.
        losses: Loss of every step from the first on, (S,).
        window: W, at most S.
    """
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    return Curve(initialisation, seed, np.arange(window, len(losses) + 1), means)


def draw(curves: Sequence[Curve], target: float, cap: int, out: Path) -> None:
    """Draw `curves` into the PNG file `out`.

    Args:
        curves: Runs of both initialisations.
        target: Running loss to reach.
        cap: Step at which a run is given up.
        out: The PNG file, whole or not at all.
    """
    with style.canvas(out, WIDTH, HEIGHT) as figure:
        style.title(figure, "First steps of net 145, by initialisation", summary(curves, target))
        corner = (panels.LEFT / WIDTH, BOTTOM / HEIGHT)
        size = (1 - (panels.LEFT + style.MARGIN) / WIDTH, 1 - (TOP + BOTTOM) / HEIGHT)
        axes = figure.add_axes((*corner, *size))
        axes.axhline(target, zorder=1, **panels.DASHES)
        lines = {curve.initialisation: _line(axes, curve, target) for curve in curves}
        end = min(cap, max(int(curve.steps[-1]) for curve in curves))
        axes.set(xlim=(0, 1.02 * end), xlabel="step", ylabel="running training loss (nats)")
        axes.annotate(f"{target:.3f}", (0, target), textcoords="offset points", xytext=(4, -11))
        panels.legend(axes, [lines[name] for name in LOOKS if name in lines])


def summary(curves: Sequence[Curve], target: float) -> str:
    """Say at which steps the runs of each initialisation reach the target."""
    parts = []
    for name in LOOKS:
        runs = [curve.crossing(target) for curve in curves if curve.initialisation == name]
        steps = sorted(step for step in runs if step is not None)
        texts = [f"{step:,}" for step in steps]
        if len(steps) < len(runs):
            texts.append(f"never in {len(runs) - len(steps)} of {len(runs)} runs")
        if runs:
            parts.append(f"{NAMES[name]} {', '.join(texts)}")
    return f"first under {target:.3f} at step: " + "; ".join(parts)


def _line(axes: Axes, curve: Curve, target: float) -> Line2D:
    (line,) = axes.plot(curve.steps, curve.losses, lw=1.2, **LOOKS[curve.initialisation])
    at = curve.crossing(target)
    if at is not None:
        axes.plot([at], [target], "o", ms=8, mfc="none", mec=style.INK, mew=1.1, zorder=4)
    return line
