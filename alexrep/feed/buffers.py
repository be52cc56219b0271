"""Memory for large arrays, used again: fresh pages cost as much as what fills them."""

import math
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LINE = 64
"""Bytes of a line of the processor's cache."""


class Buffers:
    """Gives arrays whose memory comes back when nothing refers to them any more.

    May be used by several threads.
    """

    def __init__(self) -> None:
        """Hold none."""
        self._free: deque[bytearray] = deque()

    def take(self, shape: tuple[int, ...], dtype: DTypeLike, past: int = 0) -> NDArray[Any]:
        """Return an array of any content, which begins `past` bytes after a line of the cache.

        Memory that came back and is too small is given up: sizes rarely change.
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
