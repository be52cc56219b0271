"""Decoded batches, read ahead by threads straight into the batch's memory.

Shapes: N images of a batch, S side of the stored images.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from alexrep.errors import DataError
from alexrep.feed.buffers import Buffers
from alexrep.feed.readahead import Readahead
from alexrep.shards.read import Split

AHEAD = 3
"""Batches under way beside the one in use."""
ANNOUNCED = 8
"""Batches, beyond those under way, whose bytes the system fetches meanwhile."""

_PAST = 16
"""Bytes past a line of the cache at which images begin: to rows at multiples of 32 bytes
libjpeg-turbo writes past the cache, which takes a tenth longer here."""


@dataclass(frozen=True)
class Batch:
    """Images and labels."""

    images: NDArray[np.uint8]
    """RGB, (N, S, S, 3)."""
    labels: NDArray[np.int64]
    """Class index, (N,)."""
    indices: NDArray[np.int64]
    """Index of each image in the order of the shards, (N,)."""


class Reader:
    """Reads and decodes batches in a given order with threads of its own."""

    def __init__(self, split: Split, threads: int) -> None:
        """Start the threads.

        Args:
            split: Where the images are.
            threads: Decoding threads; the decoder gives up the interpreter lock.
        """
        self._split, self._threads = split, threads
        self._ahead = Readahead(split)
        self._buffers = Buffers()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def __enter__(self) -> "Reader":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ahead.close()

    def read(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """Yield the batches in order, keeping some under way.

        The memory of a batch is used again when nothing refers to its images any more.

        Args:
            batches: Indices of each batch's images.

        Raises:
            DataError: If an image cannot be read or decoded.
        """
        under_way: deque[tuple[Batch, list[Future[None]]]] = deque()
        for indices in self._announced(batches):
            under_way.append(self._start(indices))
            if len(under_way) > AHEAD:
                yield _wait(*under_way.popleft())
        while under_way:
            yield _wait(*under_way.popleft())

    def _announced(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches, each some time after its bytes were asked for."""
        coming: deque[NDArray[np.int64]] = deque()
        for indices in batches:
            self._pool.submit(self._ahead.announce, indices)
            coming.append(indices)
            if len(coming) > ANNOUNCED:
                yield coming.popleft()
        yield from coming

    def _start(self, indices: NDArray[np.int64]) -> tuple[Batch, list[Future[None]]]:
        side = self._split.side
        images = self._buffers.take((len(indices), side, side, 3), np.uint8, _PAST)
        batch = Batch(images, self._split.labels[indices], indices)
        shares = np.array_split(np.arange(len(indices)), self._threads)
        return batch, [self._pool.submit(self._decode, batch, rows) for rows in shares if len(rows)]

    def _decode(self, batch: Batch, rows: NDArray[np.int64]) -> None:
        for row, index in zip(rows.tolist(), batch.indices[rows].tolist(), strict=True):
            content, image = self._split.read(index), batch.images[row]
            if self._split.encoding == "raw":
                image[...] = np.frombuffer(content, np.uint8).reshape(image.shape)
                continue
            try:
                found: object = simplejpeg.decode_jpeg(content, "RGB", buffer=image).shape
            except ValueError as error:
                found = error
            # A smaller image fits into the memory too, and would be a wrong one there.
            if found != image.shape:
                wanted = f"a JPEG of {self._split.side} pixels each way"
                raise DataError(self._split.fault(index, wanted, found))


def _wait(batch: Batch, shares: list[Future[None]]) -> Batch:
    for share in shares:
        share.result()
    return batch
