"""Lays out an HDF5 file in memory, leaving the image bytes to plain writes.

HDF5 does not survive a full disk: closing the file fails half way, and its remaining
objects end the process with a segmentation fault. So HDF5 writes headers and small
columns to memory around a hole for the images. The file is then written in order, from
the first byte to the last, and digested on the way.

Room reserved by posix_fallocate does not replace this: HDF5 gives it back when it creates the
file. Reserved once HDF5 has laid out the file, it prevents the crash, but the digest then needs
a second reading, since HDF5 writes its header last: 1.5 to 2.2 times as long.
"""

from __future__ import annotations

import io
import math
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import ReadableBuffer
    from numpy.typing import DTypeLike, NDArray


class FileWithHole(io.RawIOBase):
    """A file in memory with a hole: `head` lies before the hole, `tail` after it."""

    def __init__(self) -> None:
        self.head, self.tail = bytearray(), bytearray()
        self._hole = sys.maxsize, sys.maxsize
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position of the next write."""
        end = self._hole[1] + len(self.tail) if self._hole[1] < sys.maxsize else len(self.head)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: end}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position of the next write."""
        return self._position

    def write(self, values: ReadableBuffer, /) -> int:
        """Store bytes that lie on one side of the hole."""
        stored = bytes(values)
        part, offset = self._part(self._position)
        part.extend(bytes(max(0, offset - len(part))))
        part[offset : offset + len(stored)] = stored
        self._position += len(stored)
        return len(stored)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size."""
        size = self._position if size is None else size
        part, offset = self._part(size)
        part.extend(bytes(max(0, offset - len(part))))
        del part[offset:]
        return size

    def leave_out(self, start: int, size: int) -> None:
        """Leave a hole of `size` bytes for the caller to fill; nothing is written past it yet."""
        self.head.extend(bytes(max(0, start - len(self.head))))
        self._hole = start, start + size

    def _part(self, position: int) -> tuple[bytearray, int]:
        """Return head or tail, whichever covers a position of the file, and the offset in it."""
        start, end = self._hole
        return (self.head, position) if position < start else (self.tail, position - end)


def lay_out(
    name: str,
    shape: tuple[int, ...],
    columns: Mapping[str, NDArray[np.generic]],
    attributes: Mapping[str, str | int],
    kind: DTypeLike = np.uint8,
) -> FileWithHole:
    """Lay out a file with one large dataset, which is the hole, and small columns.

    The head depends on the columns' shapes and dtypes only, not on their values.

    Args:
        name: Name of the large dataset, contiguous.
        shape: Shape of the large dataset.
        columns: The small datasets by name.
        attributes: Attributes of the file.
        kind: Dtype of the large dataset.
    """
    kind = np.dtype(kind)
    out = FileWithHole()
    with h5py.File(out, "w", libver="latest") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        properties.set_obj_track_times(False)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(
            file.id, name.encode(), h5py.h5t.py_create(kind), space, dcpl=properties
        )
        start = dataset.get_offset()
        if start is not None:
            out.leave_out(start, math.prod(shape) * kind.itemsize)
        for column, values in columns.items():
            file[column] = values
        file.attrs.update(attributes)
    return out
