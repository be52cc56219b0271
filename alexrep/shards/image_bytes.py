"""The image bytes of a shard, read and checked in pieces of bounded memory."""

import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from alexrep import system
from alexrep.errors import DataError, mismatch
from alexrep.prepare.prepared import REPREPARE, lost
from alexrep.shards.listing import Images

BUFFER = 1 << 21
"""Bytes of a piece: small enough to be read, checked, written and digested in the cache."""
AHEAD = 2
"""Pieces that may still be being written or digested while the next is read."""
_OTHERS = 256
"""File descriptors left for the rest of the process."""
_FILES = 4096
"""File descriptors enough for the tars of all 1,000 classes and of val and test."""


class Tars:
    """The tars of prepared images, kept open as far as the limit on open files allows.

    May be used by several threads.
    """

    def __init__(self) -> None:
        """Raise the soft limit on open files; tars are opened when they are first read."""
        self._most_open = max(0, system.allow_open_files(_FILES) - _OTHERS)
        self._descriptors: dict[Path, int] = {}

    def read(self, tar: Path, memory: NDArray[np.uint8], offset: int) -> int:
        """Fill `memory` from an offset of a tar; return the number of bytes read.

        Raises:
            DataError: If the tar is missing.
            OSError: If it cannot be read; the error names the tar.
        """
        try:
            return self._read(tar, memory, offset)
        except OSError as error:
            error.filename = error.filename or str(tar)  # only opening names the file
            raise

    def _read(self, tar: Path, memory: NDArray[np.uint8], offset: int) -> int:
        descriptor = self._descriptors.get(tar)
        if descriptor is not None:
            return os.preadv(descriptor, [memory.data], offset)
        descriptor = _open(tar)
        num_read = os.preadv(descriptor, [memory.data], offset)
        if (
            len(self._descriptors) >= self._most_open
            or self._descriptors.setdefault(tar, descriptor) != descriptor
        ):
            os.close(descriptor)
        return num_read

    def close(self) -> None:
        """Close the tars."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


class ImageBytes:
    """The bytes of N images, as JPEG or as RGB pixels, and their crc32."""

    def __init__(self, images: Images, side: int, encoding: str, tars: Tars) -> None:
        """Compute the offsets of the images.

        Args:
            images: The images, in order.
            side: Their side, in pixels.
            encoding: "jpeg", or "raw" for RGB pixels.
            tars: Reads the images.

        Raises:
            ValueError: If the encoding is unknown.
        """
        if encoding not in ("jpeg", "raw"):
            raise ValueError(f"encoding: expected 'jpeg' or 'raw', found {encoding!r}")
        self.images, self.side, self.encoding, self._tars = images, side, encoding, tars
        is_raw, pixels = encoding == "raw", side * side * 3
        sizes = np.full(len(images), pixels) if is_raw else images.size
        self.offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        total = int(self.offsets[-1])
        self.shape = (len(images), side, side, 3) if is_raw else (total,)
        self.crcs = np.zeros(len(images), np.uint32)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes of the images in pieces, and fill in their crc32.

        A piece stays valid while the next AHEAD pieces are yielded; then its memory is reused.

        Raises:
            DataError: If a prepared image is missing, is not the recorded one, or cannot be
                decoded.
        """
        largest = int(np.diff(self.offsets).max(initial=0))
        # Used in turn: one is filled while the others are written.
        memories = [np.empty(max(BUFFER, largest), np.uint8) for _ in range(AHEAD + 1)]
        start, offsets = 0, self.offsets
        for memory in itertools.cycle(memories):
            if start == len(self.images):
                return
            fitting = np.searchsorted(offsets, offsets[start] + len(memory), side="right")
            end = int(fitting) - 1
            bounds = (offsets[start : end + 1] - offsets[start]).tolist()
            for row in range(start, end):
                image = memory[bounds[row - start] : bounds[row - start + 1]]
                self._fill(row, image)
                self.crcs[row] = zlib.crc32(image.data)
            if self.encoding == "jpeg":
                _check(self.images, start, self.crcs[start:end])
            yield memory[: bounds[-1]].data
            start = end

    def _fill(self, row: int, memory: NDArray[np.uint8]) -> None:
        if self.encoding == "jpeg":
            _read(self.images, row, memory, self._tars)
            return
        jpeg, side = np.empty(int(self.images.size[row]), np.uint8), self.side
        _read(self.images, row, jpeg, self._tars)
        _check(self.images, row, np.array([zlib.crc32(jpeg.data)], np.uint32))
        pixels = memory.reshape(side, side, 3)
        try:
            found: object = simplejpeg.decode_jpeg(jpeg, "RGB", buffer=pixels).shape
        except ValueError as error:
            found = error
        if found != pixels.shape:
            where, wanted = _where(self.images, row), f"a JPEG of {side} pixels each way"
            raise DataError(mismatch(where, wanted, found, REPREPARE))


def _where(images: Images, row: int) -> str:
    return f"{images.tars[images.tar[row]]}: {os.fsdecode(images.name[row])}"


def _read(images: Images, row: int, memory: NDArray[np.uint8], tars: Tars) -> None:
    """Read an image's bytes into `memory`, which has their length."""
    num_read = tars.read(images.tars[images.tar.item(row)], memory, images.offset.item(row))
    if num_read != len(memory):
        where, found = _where(images, row), f"{num_read} bytes"
        raise DataError(mismatch(where, f"{len(memory)} bytes", found, REPREPARE))


def _check(images: Images, start: int, crcs: NDArray[np.uint32]) -> None:
    """Compare crc32, (N,), of the JPEGs from image `start` on with those recorded."""
    recorded = images.crc32[start : start + len(crcs)]
    wrong = np.flatnonzero((recorded != crcs) & (recorded != 0))
    if len(wrong):
        first = wrong.item(0)
        wanted, found = f"crc32 {recorded.item(first):08x}", f"{crcs.item(first):08x}"
        raise DataError(mismatch(_where(images, start + first), wanted, found, REPREPARE))


def _open(tar: Path) -> int:
    try:
        return os.open(tar, os.O_RDONLY)
    except FileNotFoundError:
        raise lost(tar) from None
