"""Batches of decoded images, read ahead by threads.

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
    """RGB, (N, S, S, 3)."""
    labels: NDArray[np.int64]
    """Class index, (N,)."""
    indices: NDArray[np.int64]
    """Index of each image in the order of the shards, (N,)."""


class Reader:
    """Reads and decodes batches in a given order, with its own threads."""

    def __init__(self, split: Split, threads: int) -> None:
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

        Raises:
            DataError: If an image cannot be read or decoded.
        """
        decoding: deque[tuple[Batch, list[Future[None]]]] = deque()
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

    def _start(self, indices: NDArray[np.int64]) -> tuple[Batch, list[Future[None]]]:
        side = self._split.side
        images = self._buffers.take((len(indices), side, side, 3), np.uint8, _PAST)
        batch = Batch(images, self._split.labels[indices], indices)
        parts = np.array_split(np.arange(len(indices)), self._threads)
        return batch, [self._pool.submit(self._decode, batch, rows) for rows in parts if len(rows)]

    def _decode(self, batch: Batch, rows: NDArray[np.int64]) -> None:
        for row, index in zip(rows.tolist(), batch.indices[rows].tolist(), strict=True):
            image_bytes, image = self._split.read(index), batch.images[row]
            if self._split.encoding == "raw":
                image[...] = np.frombuffer(image_bytes, np.uint8).reshape(image.shape)
                continue
            try:
                found: object = simplejpeg.decode_jpeg(image_bytes, "RGB", buffer=image).shape
            except ValueError as error:
                found = error
            # A smaller image fits into the buffer too, and would leave the rest as it was.
            if found != image.shape:
                wanted = f"a JPEG of {self._split.side} pixels each way"
                raise DataError(self._split.fault(index, wanted, found))


def _wait(batch: Batch, parts: list[Future[None]]) -> Batch:
    for part in parts:
        part.result()
    return batch
