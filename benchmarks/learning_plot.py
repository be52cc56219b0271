"""Draws the running training loss by step for each initialisation and seed, and its target.

Shapes: S steps, W steps of the running mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from alexrep.plots import panels, style
from alexrep.plots.panels import End

HEIGHT, PANEL = 4.7, (1.0, 3.05)
"""Height of the page; top and height of the panel, in inches."""
LOOKS: dict[str, dict[str, Any]] = {
    "code": {"color": style.BLUE, "ls": "-"},
    "paper": {"color": style.VERMILLION, "ls": (0, (4, 2))},
}
NAMES = {"code": "source", "paper": "paper"}
STDS = {"code": "0.03", "paper": "0.01"}
"""Initial standard deviation in conv3 to conv5."""


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
    end = min(cap, max(int(curve.steps[-1]) for curve in curves))
    with style.canvas(HEIGHT) as figure:
        style.title(figure, "First steps of net 145, by initialisation", summary(curves, target))
        (axes,) = panels.stack(figure, [PANEL])
        panels.name(axes, "running training loss (nats)")
        axes.axhline(target, zorder=1, **panels.DASHES)
        ends = {curve.initialisation: _line(axes, curve, target) for curve in curves}
        panels.scale_epochs(axes, end, "step")
        panels.label_ends(axes, [*ends.values(), End(target, f"{target:.3f}", style.QUIET)])
    style.save(figure, out)


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


def _line(axes: Axes, curve: Curve, target: float) -> End:
    """Draw the curve of a run; return its end, to be labelled."""
    name = curve.initialisation
    axes.plot(curve.steps, curve.losses, lw=1.2, **LOOKS[name])
    at = curve.crossing(target)
    if at is not None:
        axes.plot([at], [target], "o", ms=8, mfc="none", mec=style.INK, mew=1.1, zorder=4)
    return End(float(curve.losses[-1]), f"{NAMES[name]}: {STDS[name]}", LOOKS[name]["color"])
