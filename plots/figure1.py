"""Training error by epoch with ReLU and with tanh, and where each reaches the target.

Shapes: E finished epochs.

Source: Krizhevsky et al. 2012, figure 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from alexrep.errors import DataError, mismatch
from alexrep.runs.contents import read_history
from alexrep.runs.history import Floats

from . import panels, style

WIDTH, HEIGHT = 7.4, 4.9
TOP, BOTTOM = 1.15, 0.65
"""Room above and below the panel, in inches."""
LATE = 0.85
"""Share of the axis beyond which a word has no room at the right."""
LOOKS: dict[str, dict[str, Any]] = {
    "relu": {"label": "ReLU", "color": style.BLUE, "ls": "-"},
    "tanh": {"label": "tanh", "color": style.VERMILLION, "ls": (0, (4, 2))},
}
"""Solid and dashed, as in the paper."""


@dataclass(frozen=True)
class Line:
    """The training error of one run."""

    activation: str
    """`relu` or `tanh`."""
    rate: float
    """Learning rate of weights."""
    epochs: Floats
    """Numbers of finished epochs, from 1, (E,)."""
    errors: Floats
    """Training error in the epoch that ends there, (E,)."""

    def crossing(self, target: float) -> float | None:
        """Return where the line through the epochs' errors first comes down to `target`.

        Returns:
            A number of epochs, with a fraction; the first epoch if it is under already. None if
            the run never gets there.
        """
        under = np.flatnonzero(self.errors <= target)
        if not len(under):
            return None
        last = int(under[0])
        if last == 0:
            return float(self.epochs[0])
        errors = self.errors[[last, last - 1]]
        return float(np.interp(target, errors, self.epochs[[last, last - 1]]))


def read(run: Path, activation: str) -> Line:
    """Read the training errors of a run.

    Args:
        run: Its folder.
        activation: `relu` or `tanh`.

    Raises:
        DataError: If the log is missing or damaged, or no epoch is finished.
    """
    history = read_history(run)
    errors, rates = history.column("train_error"), history.column("weights_rate")
    is_trained = ~np.isnan(errors)
    if not is_trained.any():
        raise DataError(mismatch(run / "log.jsonl", "a finished epoch", "none", "train on"))
    epochs = history.column("epoch")[is_trained]
    return Line(activation, float(rates[is_trained][0]), epochs, errors[is_trained])


def draw(lines: Sequence[Line], target: float, out: Path) -> None:
    """Draw `lines` into the PNG file `out`.

    Args:
        lines: ReLU's and tanh's, each at its own best rate.
        target: Training error to reach, a fraction.
        out: The PNG file, whole or not at all.
    """
    with style.canvas(out, WIDTH, HEIGHT) as figure:
        style.title(figure, "Training error with ReLU and with tanh", summary(lines, target))
        place = (panels.LEFT / WIDTH, BOTTOM / HEIGHT)
        size = (1 - (panels.LEFT + style.MARGIN) / WIDTH, 1 - (TOP + BOTTOM) / HEIGHT)
        axes = figure.add_axes((*place, *size))
        end = max(float(line.epochs[-1]) for line in lines)
        axes.axhline(100 * target, zorder=1, **panels.DASHES)
        axes.set(xlim=(0, 1.05 * end), xlabel="epoch")
        for line in lines:
            _line(axes, line)
            _mark(axes, line.crossing(target), target, line.activation)
        axes.set_ylim(0, None)
        axes.set_ylabel("training error (%)")
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
        panels.legend(axes, axes.get_legend_handles_labels()[0])


def summary(lines: Sequence[Line], target: float) -> str:
    """Say how many epochs each needs, and their ratio if both get there."""
    crossings = {line.activation: line.crossing(target) for line in lines}
    parts = []
    for line in lines:
        at, name = crossings[line.activation], LOOKS[line.activation]["label"]
        said = f"not in {line.epochs[-1]:.0f} epochs" if at is None else f"{at:.1f} epochs"
        parts.append(f"{name} {said}")
    relu, tanh = crossings.get("relu"), crossings.get("tanh")
    if relu is not None and tanh is not None:
        parts.append(f"{tanh / relu:.2f} times as many")
    return f"to {100 * target:g} % training error: " + ", ".join(parts)


def _line(axes: Axes, line: Line) -> None:
    look = dict(LOOKS[line.activation])
    look["label"] += f", rate {line.rate:g}"
    dots = "o" if len(line.epochs) <= 40 else ""
    axes.plot(line.epochs, 100 * line.errors, marker=dots, ms=3.5, **look)


def _mark(axes: Axes, at: float | None, target: float, activation: str) -> None:
    """Ring the place where a line reaches the target, and say there how many epochs it took."""
    if at is None:
        return
    colour = LOOKS[activation]["color"]
    axes.plot([at], [100 * target], "o", ms=10, mfc="none", mec=style.INK, mew=1.2, zorder=4)
    axes.plot([at, at], [0, 100 * target], color=colour, lw=0.9, ls=":")
    # To the left of a late one, where the page ends at its right.
    is_late = at > LATE * axes.get_xlim()[1]
    side, shift = ("right", -5) if is_late else ("left", 5)
    where: dict[str, Any] = {"textcoords": "offset points", "xytext": (shift, 5), "color": colour}
    axes.annotate(f"{at:.1f} epochs", (at, 0), ha=side, **where)
