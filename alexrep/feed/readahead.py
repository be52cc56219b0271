"""Readahead: tells the kernel which images come next, so that no batch waits for a cold disk."""

import os

import numpy as np
from numpy.typing import NDArray

from alexrep import system
from alexrep.shards.labelled import LabelledImages


class Readahead:
    """Announces reads of a split; for bytes in the page cache that costs one system call."""

    def __init__(self, split: LabelledImages) -> None:
        """Open the shards.

        Args:
            split: The split to read; of originals, which are in no shards, nothing is announced.
        """
        self._shards = split.shards
        self._ends = np.cumsum([len(shard) for shard in split.shards])
        self._descriptors = [os.open(shard.path, os.O_RDONLY) for shard in split.shards]

    def announce(self, indices: NDArray[np.int64]) -> None:
        """Start reading images into the page cache, without waiting.

        Adjacent images are announced as one range.

        Args:
            indices: Indices of the images, (N,).
        """
        if not self._shards:
            return
        indices = np.sort(indices)
        numbers = np.searchsorted(self._ends, indices, side="right")
        for number in np.unique(numbers):
            shard = self._shards[number]
            rows = indices[numbers == number] - (self._ends[number] - len(shard))
            first = np.flatnonzero(np.diff(rows, prepend=-2) > 1)
            last = np.append(first[1:], len(rows)) - 1
            starts, ends = shard.offsets[rows[first]], shard.offsets[rows[last] + 1]
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                offset = shard.start + start
                system.advise(self._descriptors[number], offset, end - start, is_wanted=True)

    def close(self) -> None:
        """Close the shards."""
        while self._descriptors:
            os.close(self._descriptors.pop())
