"""Reused memory for large arrays: touching fresh pages costs as much as filling them."""

import math
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LINE = 64
"""Bytes of a cache line."""


class Buffers:
    """Hands out arrays and reuses their memory once nothing refers to them.

    May be used by several threads.
    """

    def __init__(self) -> None:
        """Start without any memory."""
        self._free: deque[bytearray] = deque()

    def take(self, shape: tuple[int, ...], dtype: DTypeLike, past: int = 0) -> NDArray[Any]:
        """Return an uninitialised array that begins `past` bytes after a cache line.

        Free memory that is too small is dropped: sizes rarely change.
        """
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        memory = self._pop(size + _LINE)
        # Every view of the array has `flat` as its base, so that it dies after them.
        flat = np.frombuffer(memory, np.uint8)
        weakref.finalize(flat, self._free.append, memory).atexit = False
        start = (past - flat.ctypes.data) % _LINE
        return flat[start : start + size].view(kind).reshape(shape)

    def _pop(self, size: int) -> bytearray:
        while True:
            try:
                memory = self._free.pop()
            except IndexError:
                return bytearray(size)
            if len(memory) >= size:
                return memory
