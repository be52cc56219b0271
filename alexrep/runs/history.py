"""The rows of a run's log as arrays over epochs, ready to be drawn.

Shapes: S step rows, E epoch rows, B groups of step rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from alexrep.runs.log import Row

Floats = NDArray[np.float64]

MOST_STEPS = 800
"""Step rows up to which each is drawn; the picture has no more columns than that."""


@dataclass(frozen=True)
class History:
    """A log as columns; what a row lacks is NaN."""

    epochs: Sequence[Row]
    """The epoch rows of the log."""
    step_at: Floats
    """Place of each step row in epochs, or in steps before the first epoch is finished, (S,)."""
    step_loss: Floats
    """Training loss of that step's batch, (S,)."""
    in_epochs: bool
    """Whether places are in epochs."""
    steps: Sequence[Row] = ()
    """The step rows of the log."""

    def step_column(self, key: str) -> Floats:
        """Return one value of every step row, (S,)."""
        return _column(self.steps, key)

    def column(self, key: str) -> Floats:
        """Return one value of every epoch row, (E,)."""
        return _column(self.epochs, key)

    @property
    def axis(self) -> str:
        """What the epoch rows are placed by: "epoch", or "step" in logs that count no epochs."""
        has_epochs = not self.epochs or bool(np.isfinite(self.column("epoch")).any())
        return "epoch" if has_epochs and (self.in_epochs or not self.step_at.size) else "step"

    @property
    def places(self) -> Floats:
        """Place of every epoch row on the axis, (E,)."""
        return self.column(self.axis)

    @property
    def num_finished(self) -> int:
        """Number of finished epochs."""
        return int(np.nanmax(np.append(self.column("epoch"), 0)))

    @property
    def end(self) -> float:
        """Last place that anything is drawn at."""
        return float(np.nanmax([*self.places, *self.step_at, 0.0]))


def from_rows(rows: Sequence[Row]) -> History:
    """Sort the rows of a log into columns.

    Steps are placed between the epoch rows around them; after the last one they
    go on at its pace.
    """
    epochs = [row for row in rows if row.get("kind") == "epoch"]
    steps = [row for row in rows if row.get("kind") == "step"]
    at, known = _in_epochs(
        _column(steps, "step"), _column(epochs, "step"), _column(epochs, "epoch")
    )
    return History(epochs, at, _column(steps, "loss"), known, steps)


def changes(history: History) -> list[float]:
    """Return the numbers of finished epochs after which a rate or the noise is another one.

    An epoch row holds what was in force in the epoch that it ends.
    """
    settings = [
        (
            number(row, "epoch"),
            tuple(row.get(key) for key in ("weights_rate", "biases_rate", "noise")),
        )
        for row in history.epochs
        if row.get("weights_rate") is not None
    ]
    return [epoch - 1 for (_, before), (epoch, now) in pairwise(settings) if now != before]


def best(history: History) -> Row | None:
    """Return the epoch row of the lowest val top-1 error, the first of equals; None without."""
    scored = [row for row in history.epochs if np.isfinite(number(row, "val_top1_error"))]
    return min(scored, key=lambda row: number(row, "val_top1_error"), default=None)


def thin(at: Floats, value: Floats, most: int = MOST_STEPS) -> tuple[Floats, Floats, Floats]:
    """Group neighbours so that at most `most` groups are left.

    Args:
        at: Places in rising order, (S,).
        value: Values there, (S,).
        most: Groups wanted, at least 1.

    Returns:
        Mean place, lowest and highest value of each group, (B,) each, B <= most.
    """
    if len(at) <= most:
        return at, value, value
    starts = np.linspace(0, len(at), most, endpoint=False).astype(np.int64)
    sizes = np.diff(np.append(starts, len(at)))
    return (
        np.add.reduceat(at, starts) / sizes,
        np.minimum.reduceat(value, starts),
        np.maximum.reduceat(value, starts),
    )


def number(row: Row, key: str) -> float:
    """Return one number of a row, NaN where it has none."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else float("nan")


def _in_epochs(steps: Floats, marks: Floats, epochs: Floats) -> tuple[Floats, bool]:
    """Return where each step is in epochs, and whether the length of an epoch is known."""
    is_later = marks > 0
    # Each once: a log may have been put together of two.
    marks, firsts = np.unique(np.append(0.0, marks[is_later]), return_index=True)
    epochs = np.append(0.0, epochs[is_later])[firsts]
    if len(marks) < 2:
        return steps, False
    inside = np.interp(steps, marks, epochs)
    pace = (epochs[-1] - epochs[-2]) / (marks[-1] - marks[-2])
    return inside + np.maximum(steps - marks[-1], 0.0) * pace, True


def _column(rows: Sequence[Row], key: str) -> Floats:
    return np.array([number(row, key) for row in rows], dtype=np.float64)
