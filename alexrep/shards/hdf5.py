"""HDF5 files whose outline is made in memory: HDF5 itself never writes to the disk.

HDF5 does not survive a full disk: closing fails half way, and what is left of the
file's objects ends the process by a segmentation fault. So HDF5 writes to memory what
is small, leaves a hole for the images, and plain writes do the rest, in one go from
the first byte to the last, so that the digest of the file needs no second reading.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import ReadableBuffer
    from numpy.typing import NDArray


class FileWithHole(io.RawIOBase):
    """A file in memory with a hole: what lies before the hole, and what lies after it."""

    def __init__(self) -> None:
        self.head, self.tail = bytearray(), bytearray()
        self._hole = sys.maxsize, sys.maxsize
        self._position = 0

    def readable(self) -> bool:
        """Say that HDF5 may ask."""
        return True

    def seekable(self) -> bool:
        """Say that places may be chosen."""
        return True

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Choose the place of the next write."""
        end = self._hole[1] + len(self.tail) if self._hole[1] < sys.maxsize else len(self.head)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: end}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the place of the next write."""
        return self._position

    def write(self, content: ReadableBuffer, /) -> int:
        """Keep bytes that lie on one side of the hole."""
        kept = bytes(content)
        side, place = self._side(self._position)
        side.extend(bytes(max(0, place - len(side))))
        side[place : place + len(kept)] = kept
        self._position += len(kept)
        return len(kept)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size."""
        size = self._position if size is None else size
        side, place = self._side(size)
        side.extend(bytes(max(0, place - len(side))))
        del side[place:]
        return size

    def leave_out(self, start: int, size: int) -> None:
        """Leave a hole of `size` bytes that others fill; HDF5 has written nothing beyond it."""
        self.head.extend(bytes(max(0, start - len(self.head))))
        self._hole = start, start + size

    def _side(self, place: int) -> tuple[bytearray, int]:
        """Return head or tail, whichever holds `place`, and the place in it."""
        start, end = self._hole
        return (self.head, place) if place < start else (self.tail, place - end)


def lay_out(
    name: str,
    shape: tuple[int, ...],
    columns: Mapping[str, NDArray[np.generic]],
    attributes: Mapping[str, str | int],
) -> FileWithHole:
    """Make a file with one contiguous dataset of bytes, which is the hole, and small columns.

    What lies before the hole depends on the columns' shapes and types only.

    Args:
        name: Name of the large dataset, uint8.
        shape: Its shape.
        columns: The other datasets by name.
        attributes: Attributes of the file.
    """
    out = FileWithHole()
    with h5py.File(out, "w", libver="latest") as held:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        how.set_obj_track_times(False)
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(held.id, name.encode(), h5py.h5t.STD_U8LE, space, dcpl=how)
        start = made.get_offset()
        if start is not None:
            out.leave_out(start, int(np.prod(shape)))
        for column, values in columns.items():
            held[column] = values
        held.attrs.update(attributes)
    return out
