"""Event files for TensorBoard: the curves of a run, and sheets of its inputs.

Shapes: N images of H x W pixels.
"""

import os
import secrets
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydantic import JsonValue
from tensorboard.compat.proto.event_pb2 import (  # type: ignore[attr-defined]
    Event,
    SessionLog,
)
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from alexrep import files
from alexrep.runs.log import Row

MOST = 16
"""Images in a sheet, at most."""
QUALITY = 90
"""Of a sheet's JPEG. A PNG is six times as large, and an event file's checksum is slow: half a
second for a megabyte."""
GAP = 2
"""Pixels between the images of a sheet."""
PLACES = ("kind", "epoch", "step")
"""Fields of a row that are not drawn."""


class EventFiles:
    """Event files of one session of a run; a row has left the process when its call returns.

    The log is the truth, this is its picture: a restart purges what the log lost, and rows
    that the log still has at that step and after are written again. So no step is there
    twice and none is missing, whichever moment the session before was killed at.

    Not torch's SummaryWriter, which writes in a thread: a killed process loses up to 11 rows, and
    on a full disk the error comes several rows late, with a traceback of the thread beside it.

    Args:
        folder: Where event files lie; made if it is not there. Each session adds one.
        purge_step: Step whose rows, and all later ones, of earlier sessions no longer
            count: the checkpoint's, or 0 for a run that begins.
        rows: Rows of the log after it was cut to the checkpoint.

    Raises:
        OSError: If the disk is full; later calls raise it too.
    """

    def __init__(self, folder: Path, purge_step: int, rows: Iterable[Row] = ()) -> None:
        files.make_folder(folder)
        with files.named(folder):
            # Readers take the files of a folder in the order of their names.
            name = f"{time.time_ns() / 1e9:.6f}.{os.uname().nodename}.{secrets.token_hex(4)}"
            self._stream = (folder / f"events.out.tfevents.{name}").open("xb", buffering=0)
            self._records = RecordWriter(self._stream)
        self._write(step=purge_step, file_version="brain.Event:2")
        self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))
        for row in rows:
            if _step(row) >= purge_step:
                self.row(row)

    def row(self, row: Mapping[str, JsonValue]) -> None:
        """Write every number of a row of the log as a scalar at its step.

        Tags are `step/loss` for rows of steps; in rows of epochs `train/loss` of train_loss,
        `val/top1_error` of val_top1_error and so on, and `epoch/seconds` of all others. Its
        time is the row's `clock`, also where a run that goes on writes it again.
        """
        if row.get("kind") not in ("step", "epoch"):
            return
        clock = row.get("clock")
        written = datetime.fromisoformat(clock).timestamp() if isinstance(clock, str) else None
        for key, value in row.items():
            if key not in PLACES and isinstance(value, int | float):
                drawn = summary.scalar(_tag(str(row["kind"]), key), float(value))
                self._write(written, step=_step(row), summary=drawn)

    def images(self, tag: str, array: NDArray[np.uint8], step: int) -> None:
        """Show images as one sheet, as square as it can be; the first 16 of them.

        Args:
            tag: Its name.
            array: RGB images in grey levels, uint8, (N, H, W, 3).
            step: The step that they were used in.

        Raises:
            ValueError: If they are not RGB images, or there is none.
        """
        pixels = sheet(array[:MOST])
        height, width, _ = pixels.shape
        content = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="420")
        shown = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=content
        )
        drawn = Summary(value=[Summary.Value(tag=tag, image=shown)])
        self._write(step=step, summary=drawn)

    def close(self) -> None:
        """Close the event file."""
        self._stream.close()

    def _write(self, written: float | None = None, **fields: Any) -> None:
        """Write an event of now, or of the moment at which its row was written to the log."""
        wall_time = time.time() if written is None else written
        with files.named(Path(self._stream.name)):
            self._records.write(Event(wall_time=wall_time, **fields).SerializeToString())


def sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay images side by side in rows, black between them and where none is left.

    Args:
        images: uint8, (N, H, W, 3).

    Returns:
        The sheet, uint8, (rows (H + 2) - 2, columns (W + 2) - 2, 3).

    Raises:
        ValueError: If they are not of that form, or there is none.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        found = f"{images.dtype} {images.shape}"
        raise ValueError(f"images: expected uint8 (N, H, W, 3), N at least 1, found {found}")
    num, height, width, _ = images.shape
    columns = ceil(sqrt(num))
    rows = ceil(num / columns)
    made = np.zeros((rows * (height + GAP), columns * (width + GAP), 3), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        made[top : top + height, left : left + width] = image
    return made[:-GAP, :-GAP]


def _step(row: Mapping[str, JsonValue]) -> int:
    step = row.get("step")
    return step if isinstance(step, int) else 0


def _tag(kind: str, key: str) -> str:
    split, _, name = key.partition("_")
    return f"{split}/{name}" if kind == "epoch" and split in ("train", "val") else f"{kind}/{key}"
