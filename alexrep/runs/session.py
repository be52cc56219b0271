"""A run while it is written: its lock, log and checkpoints, and whether a signal has come."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from alexrep.config.recipe import Checkpoints
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row
from alexrep.runs.record import Record
from alexrep.runs.saver import Also, CheckpointPolicy, Saver


class LoadedCheckpoint(Protocol):
    """The checkpoint that a run goes on from."""

    @property
    def content(self) -> Mapping[str, Any]:
        """Its table."""

    @property
    def is_last(self) -> bool:
        """Whether it is the last one, and not one before a damaged one."""


Signal = Callable[[], str | None]
"""Tells the name of the signal that has come to this process; None if none has."""


class Session:
    """A session without a folder, as ranks above 0 and dry runs have: it only tells signals."""

    def __init__(self, signal: Signal = lambda: None) -> None:
        """Take what tells signals, as `signals.flagged` yields it."""
        self.signal = signal

    @property
    def writes(self) -> bool:
        """Whether there is a folder that rows and checkpoints go to."""
        return False

    def check(self) -> None:
        """Raise AlexrepError if another process has taken over the folder."""

    def record(self, row: Row) -> None:
        """Write a row to the log, and to what is derived from it."""

    def show(self, images: NDArray[np.uint8], step: int) -> None:
        """Show augmented inputs of a step, RGB in grey levels, uint8 (N, P, P, 3)."""

    def is_due(self, step: int) -> bool:  # noqa: ARG002 (of a session with a folder)
        """Tell after a step whether a checkpoint is to be saved."""
        return False

    def save(self, content: Mapping[str, Any], also: Also) -> None:
        """Begin to save a checkpoint; `wait` returns when it is on disk."""

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk."""


class RunSession(Session):
    """A session in a run's folder, whose lock the caller holds.

    Every method that writes raises AlexrepError if another process has taken over the folder,
    and OSError if the disk is full.

    Args:
        folder: The run's folder; its recipe is there.
        check: Raises if the lock was lost, as `locks.held` yields it.
        signal: Tells signals, as `signals.flagged` yields it.
        rule: When checkpoints are due.
        start: The checkpoint that the run goes on from; None for a run that begins.

    Raises:
        DataError: If the log is shorter than at the checkpoint, or damaged.
    """

    def __init__(
        self,
        folder: RunFolder,
        check: Callable[[], None],
        signal: Signal,
        rule: Checkpoints,
        start: LoadedCheckpoint | None,
    ) -> None:
        super().__init__(signal)
        self.folder, self._check = folder, check
        self._policy = CheckpointPolicy(rule, check)
        size = start.content["log_size"] if start else None
        self._record = Record(folder, size, start.content["step"] if start else 0, check)
        self._saver = Saver(folder, check, start is None or start.is_last)

    @property
    def writes(self) -> bool:
        """Whether there is a folder that rows and checkpoints go to."""
        return True

    @contextlib.contextmanager
    def opened(self) -> Iterator["RunSession"]:
        """Close the log at the end of the block, and wait for the last checkpoint."""
        with contextlib.closing(self._record), self._saver:
            yield self

    def check(self) -> None:
        """Raise AlexrepError if another process has taken over the folder."""
        self._check()

    def record(self, row: Row) -> None:
        """Write a row to the log, and to what is derived from it."""
        self._record.row(row)

    def show(self, images: NDArray[np.uint8], step: int) -> None:
        """Show augmented inputs of a step in TensorBoard."""
        self._record.show(images, step)

    def is_due(self, step: int) -> bool:
        """Tell after a step whether a checkpoint is to be saved.

        Raises:
            OSError: If the one before could not be written.
        """
        self._saver.poll()
        # A disk that is slower than the rule delays the next one, not the training.
        return self._policy.is_due(step) and self._saver.is_idle

    def save(self, content: Mapping[str, Any], also: Also) -> None:
        """Begin to save a checkpoint; the log's size is put in."""
        self._policy.restart()
        self._saver.save({**content, "log_size": self._record.tell()}, also)

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk."""
        self._saver.wait()
