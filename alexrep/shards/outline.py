"""HDF5 files whose outline is made in memory: HDF5 itself never writes to the disk.

HDF5 does not survive a full disk: closing fails half way, and what is left of the
file's objects ends the process by a segmentation fault. So HDF5 writes to memory what
is small, gives the large dataset its place there, and plain writes do the rest.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

import h5py

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Outline(io.RawIOBase):
    """A file in memory that keeps the ranges written, and nothing between them."""

    def __init__(self) -> None:
        self._ranges: dict[int, bytes] = {}
        self._position = self._size = 0

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
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the place of the next write."""
        return self._position

    def write(self, content: ReadableBuffer, /) -> int:
        """Keep one range; a later one at the same place replaces it."""
        kept = self._ranges[self._position] = bytes(content)
        self._position += len(kept)
        self._size = max(self._size, self._position)
        return len(kept)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size."""
        self._size = self._position if size is None else size
        return self._size

    def copy_to(self, stream: BinaryIO) -> None:
        """Write the ranges to their places in a file, in the order in which they came."""
        for place, content in self._ranges.items():
            stream.seek(place)
            stream.write(content)
        stream.truncate(self._size)


def reserve(out: h5py.File, name: str, size: int) -> int:
    """Make a contiguous dataset of `size` bytes that is not written.

    Returns:
        The place of its first byte in the file.
    """
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    how.set_obj_track_times(False)
    space = h5py.h5s.create_simple((size,))
    made = h5py.h5d.create(out.id, name.encode(), h5py.h5t.STD_U8LE, space, dcpl=how)
    return int(made.get_offset() or 0)
