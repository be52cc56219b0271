"""Sessions that keep in memory what a run would write to disk, and signals at chosen moments."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from alexrep import signals
from alexrep.runs.log import Row
from alexrep.runs.saver import Also
from alexrep.runs.session import Session


class Memory(Session):
    """Keeps the rows, and the step and roles of each checkpoint."""

    def __init__(
        self, signal: Callable[[], str | None] = lambda: None, rows: list[Row] | None = None
    ) -> None:
        super().__init__(signal)
        self.rows = rows if rows is not None else []
        self.saved: list[tuple[int, Also]] = []
        self.shown: list[int] = []
        self.every: int | None = None
        """Steps after which to save a checkpoint."""

    @property
    def writes(self) -> bool:
        return True

    def record(self, row: Row) -> None:
        self.rows.append(row)

    def show(self, images: NDArray[np.uint8], step: int) -> None:
        self.shown.append(step)

    def is_due(self, step: int) -> bool:
        return self.every is not None and step % self.every == 0

    def save(self, content: Mapping[str, Any], also: Also) -> None:
        self.saved.append((content["step"], also))


def stop_at(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Have a signal come at those looks for one, counted over all starts."""
    calls = count(1)

    @contextlib.contextmanager
    def flagged(unit: str = "unit") -> Iterator[Callable[[], str | None]]:
        yield lambda: "SIGTERM" if next(calls) in numbers else None

    monkeypatch.setattr(signals, "flagged", flagged)
