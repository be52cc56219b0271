"""Draws training error by epoch with ReLU and with tanh, and where each reaches a target.

Shapes: E finished epochs.

Source: Krizhevsky et al. 2012, figure 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexrep.errors import DataError, mismatch
from alexrep.runs.contents import read_history
from alexrep.runs.history import Floats

from . import panels, style

HEIGHT, PANEL = 4.7, (1.0, 3.05)
"""Height of the page; top and height of the panel, in inches."""
LATE = 0.85
"""Fraction of the axis beyond which a label does not fit to the right."""
LOOKS: dict[str, dict[str, Any]] = {
    "relu": {"label": "ReLU", "color": style.BLUE, "ls": "-"},
    "tanh": {"label": "tanh", "color": style.VERMILLION, "ls": (0, (4, 2))},
}
"""Line styles, solid and dashed as in the paper."""


@dataclass(frozen=True)
class Line:
    """The training error of one run."""

    activation: str
    """`relu` or `tanh`."""
    rate: float
    """Learning rate of weights."""
    epochs: Floats
    """Number of epochs finished, from 1, (E,)."""
    errors: Floats
    """Training error of each of these epochs, a fraction, (E,)."""

    def crossing(self, target: float) -> float | None:
        """Return when the error first falls to `target`, interpolated linearly between epochs.

        Returns:
            Epochs, with a fraction; the first epoch if its error is at the target already.
            None if the run never gets there.
        """
        reached = np.flatnonzero(self.errors <= target)
        if not len(reached):
            return None
        first = int(reached[0])
        if first == 0:
            return float(self.epochs[0])
        pair = [first, first - 1]  # np.interp wants ascending errors
        return float(np.interp(target, self.errors[pair], self.epochs[pair]))


def read(run: Path, activation: str) -> Line:
    """Read the training errors of a run.

    Args:
        run: The run's folder.
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


def draw(lines: Sequence[Line], target: float) -> Figure:
    """Draw `lines`.

    Args:
        lines: One of ReLU and one of tanh, each at its best rate.
        target: Training error to reach, a fraction.
    """
    with style.canvas(HEIGHT) as figure:
        style.title(figure, "Training error with ReLU and with tanh", summary(lines, target))
        (axes,) = panels.stack(figure, [PANEL])
        panels.name(axes, "training error (%)")
        panels.scale_epochs(axes, 1.05 * max(float(line.epochs[-1]) for line in lines), "epoch")
        panels.scale_from_zero(axes, 100 * np.concatenate([line.errors for line in lines]))
        axes.axhline(100 * target, zorder=1, **panels.DASHES)
        ends = [panels.End(100 * target, f"target {100 * target:g} %", style.QUIET)]
        for line in lines:
            _line(axes, line)
            _mark(axes, line.crossing(target), target, line.activation)
            ends.append(_end(line))
        panels.label_ends(axes, ends)
    return figure


def summary(lines: Sequence[Line], target: float) -> str:
    """Return the subtitle: the epochs that each needs, and their ratio if both get there."""
    crossings = {line.activation: line.crossing(target) for line in lines}
    parts = []
    for line in lines:
        crossing, name = crossings[line.activation], LOOKS[line.activation]["label"]
        never = f"not in {line.epochs[-1]:.0f} epochs"
        parts.append(f"{name} {never if crossing is None else f'{crossing:.1f} epochs'}")
    relu, tanh = crossings.get("relu"), crossings.get("tanh")
    if relu is not None and tanh is not None:
        parts.append(f"{tanh / relu:.2f} times as many")
    return f"to {100 * target:g} % training error: " + ", ".join(parts)


def _line(axes: Axes, line: Line) -> None:
    marker = "o" if len(line.epochs) <= 40 else ""
    look = LOOKS[line.activation]
    axes.plot(line.epochs, 100 * line.errors, marker=marker, ms=3.5, **look, scalex=False)


def _end(line: Line) -> panels.End:
    look = LOOKS[line.activation]
    text = f"{look['label']}, rate {panels.rate(line.rate)}"
    return panels.End(100 * float(line.errors[-1]), text, look["color"])


def _mark(axes: Axes, crossing: float | None, target: float, activation: str) -> None:
    """Ring the point where a line reaches the target, and label it with its epochs."""
    if crossing is None:
        return
    colour = LOOKS[activation]["color"]
    axes.plot([crossing], [100 * target], "o", ms=10, mfc="none", mec=style.INK, mew=1.2, zorder=4)
    axes.plot([crossing, crossing], [0, 100 * target], color=colour, lw=0.9, ls=":")
    # A late crossing has its label to the left, as the page ends to the right of it.
    is_late = crossing > LATE * axes.get_xlim()[1]
    side, shift = ("right", -5) if is_late else ("left", 5)
    look: dict[str, Any] = {"textcoords": "offset points", "xytext": (shift, 5), "color": colour}
    axes.annotate(f"{crossing:.1f} epochs", (crossing, 0), ha=side, **look)
