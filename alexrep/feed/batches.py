"""Batches of decoded images, read ahead by threads.

Shapes: N images of a batch; H, W height and width of an image: S, the side, of packed ones.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexrep.feed.buffers import Buffers
from alexrep.feed.readahead import Readahead
from alexrep.pixels.decode import UndecodableError
from alexrep.shards.labelled import LabelledImages

AHEAD = 3
"""Batches being decoded besides the one in use."""
ANNOUNCED = 8
"""Further batches whose bytes the kernel reads into the page cache meanwhile."""

_PAST = 16
"""Bytes past a cache line at which the images begin: rows at multiples of 32 bytes make
libjpeg-turbo write around the cache, which takes a tenth longer."""


@dataclass(frozen=True)
class Batch:
    """Images, labels and indices of a batch."""

    images: NDArray[np.uint8]
    """RGB, (N, H, W, 3)."""
    labels: NDArray[np.int64]
    """Class index, (N,)."""
    indices: NDArray[np.int64]
    """Index of each image in the order of the split, (N,)."""


class Reader:
    """Reads and decodes batches in a given order, with its own threads."""

    def __init__(self, split: LabelledImages, threads: int) -> None:
        """Start the threads.

        Args:
            split: The split to read.
            threads: Number of decoding threads; the decoder releases the GIL.
        """
        self._split, self._threads = split, threads
        self._readahead = Readahead(split)
        self._buffers = Buffers()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def __enter__(self) -> "Reader":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._readahead.close()

    def read(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """Yield the batches in order, with AHEAD more being decoded.

        A batch's memory is reused once nothing refers to its images.

        Args:
            batches: Indices of each batch's images, (N,) each.

        Yields:
            Each batch; without those originals that proved no images.

        Raises:
            DataError: If an image cannot be read, or a packed one not decoded.
        """
        decoding: deque[tuple[Batch, list[Future[list[int]]]]] = deque()
        for indices in self._announced(batches):
            decoding.append(self._start(indices))
            if len(decoding) > AHEAD:
                yield _wait(*decoding.popleft())
        while decoding:
            yield _wait(*decoding.popleft())

    def _announced(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches, each ANNOUNCED batches after its read was announced."""
        announced: deque[NDArray[np.int64]] = deque()
        for indices in batches:
            self._pool.submit(self._readahead.announce, indices)
            announced.append(indices)
            if len(announced) > ANNOUNCED:
                yield announced.popleft()
        yield from announced

    def _start(self, indices: NDArray[np.int64]) -> tuple[Batch, list[Future[list[int]]]]:
        images = self._buffers.take((len(indices), *self._split.shape), np.uint8, _PAST)
        batch = Batch(images, self._split.labels[indices], indices)
        parts = np.array_split(np.arange(len(indices)), self._threads)
        return batch, [self._pool.submit(self._decode, batch, rows) for rows in parts if len(rows)]

    def _decode(self, batch: Batch, rows: NDArray[np.int64]) -> list[int]:
        """Decode some images of a batch; return the rows of those that are to be left out."""
        unreadable = []
        for row, index in zip(rows.tolist(), batch.indices[rows].tolist(), strict=True):
            try:
                self._split.decode(index, batch.images[row])
            except UndecodableError:
                unreadable.append(row)
        return unreadable


def _wait(batch: Batch, parts: list[Future[list[int]]]) -> Batch:
    unreadable = [row for part in parts for row in part.result()]
    if not unreadable:
        return batch
    rows = np.delete(np.arange(len(batch.indices)), unreadable)
    return Batch(batch.images[rows], batch.labels[rows], batch.indices[rows])
