"""All that a run tells of itself while it is trained: its log, and the log's two pictures.

log.jsonl is the truth. A run that goes on has it cut to the checkpoint, log.csv is written again
from it, and TensorBoard is told to forget what came later.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alexrep.runs import log, table
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row

if TYPE_CHECKING:
    from alexrep.runs.tensorboard import EventFiles

NO_BOARD = "tensorboard: expected it installed, found none; the run goes on without RUN/events"
SHEET = "train/inputs"
"""Tag of the sheets of augmented inputs."""


class Record:
    """Takes the rows of one session of a run.

    Args:
        folder: The run's folder; its recipe is there.
        size: Size of the log at the checkpoint, in bytes; None for a run that begins.
        step: The checkpoint's step; 0 for a run that begins.
        owned: Raises if the folder is no longer ours; asked before each row.

    Raises:
        DataError: If the log is shorter than `size`, or damaged.
    """

    def __init__(
        self, folder: RunFolder, size: int | None, step: int, owned: Callable[[], None]
    ) -> None:
        self._folder, self._owned = folder, owned
        self.missing: str | None = None
        """What to tell the user of a picture that there will not be; None if nothing."""
        if size is None:
            folder.log.unlink(missing_ok=True)
        else:
            log.cut(folder.log, size, owned)
        self._log = log.Log(folder.log)
        self._event_files: EventFiles | None = None
        try:
            table.write(folder, owned)
            self._event_files = self._open_event_files(step)
        except BaseException:
            self._log.close()
            raise

    def row(self, row: Row) -> None:
        """Write a row to the log, then to its pictures.

        Raises:
            AlexrepError: If another process has taken over the folder.
            OSError: If the disk is full.
        """
        self._owned()
        self._log.append(row)
        if self._event_files is not None:
            self._event_files.row(row)
        if row["kind"] == "epoch":
            table.write(self._folder, self._owned)

    def show(self, images: NDArray[np.uint8], step: int) -> None:
        """Show augmented inputs, RGB in grey levels, uint8 (N, P, P, 3), in TensorBoard."""
        if self._event_files is not None:
            self._owned()
            self._event_files.images(SHEET, images, step)

    def tell(self) -> int:
        """Flush the log to disk and return its size in bytes."""
        return self._log.tell()

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        if self._event_files is not None:
            self._event_files.close()

    def _open_event_files(self, step: int) -> "EventFiles | None":
        try:
            module = importlib.import_module("alexrep.runs.tensorboard")
        except ImportError:
            self.missing = NO_BOARD
            return None
        event_files: EventFiles = module.EventFiles(
            self._folder.events, step, log.read(self._folder.log)
        )
        return event_files
