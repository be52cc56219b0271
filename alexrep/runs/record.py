"""Writes log.jsonl, and derives log.csv and TensorBoard's event files from it.

A run that goes on has its log cut to the checkpoint; log.csv is written again from it, and
TensorBoard is told to forget what came later.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from alexrep.runs import log, table
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row
from alexrep.runs.tensorboard import EventFiles

SHEET = "train/inputs"
"""Tag of the sheets of augmented inputs."""


class Record:
    """Takes the rows of one session of a run.

    Args:
        folder: The run's folder; its recipe is there.
        size: Size of the log at the checkpoint, in bytes; None for a run that begins.
        step: The checkpoint's step; 0 for a run that begins.
        check: Raises if the folder is no longer ours; asked before each row.

    Raises:
        DataError: If the log is shorter than `size`, or damaged.
    """

    def __init__(
        self, folder: RunFolder, size: int | None, step: int, check: Callable[[], None]
    ) -> None:
        self._folder, self._check = folder, check
        if size is None:
            folder.log.unlink(missing_ok=True)
        else:
            log.cut(folder.log, size, check)
        self._log = log.Log(folder.log)
        try:
            table.write(folder, check)
            self._events = EventFiles(folder.events, step, log.read(folder.log))
        except BaseException:
            self._log.close()
            raise

    def row(self, row: Row) -> None:
        """Write a row and the time of day to the log, then to what is derived from it.

        Raises:
            AlexrepError: If another process has taken over the folder.
            OSError: If the disk is full.
        """
        self._check()
        row = {**row, "clock": datetime.now(UTC).isoformat(timespec="seconds")}
        self._log.append(row)
        self._events.row(row)
        if row["kind"] == "epoch":
            table.write(self._folder, self._check)

    def show(self, images: NDArray[np.uint8], step: int) -> None:
        """Show augmented inputs, RGB in grey levels, uint8 (N, P, P, 3), in TensorBoard."""
        self._check()
        self._events.images(SHEET, images, step)

    def tell(self) -> int:
        """Flush the log to disk and return its size in bytes."""
        return self._log.tell()

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        self._events.close()
