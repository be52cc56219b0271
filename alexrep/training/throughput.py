"""Speed of a run: images per second, time spent waiting for the feed, memory."""

import time
from collections.abc import Iterator
from typing import TypeVar

import torch

from alexrep.runs.log import Row
from alexrep.system import peak_memory

Item = TypeVar("Item")


class Throughput:
    """Counts images and waiting time since it was made or restarted."""

    def __init__(self) -> None:
        """Start at zero."""
        self._num_images, self._waited_s = 0, 0.0
        self._start = time.perf_counter()

    def count(self, num_images: int) -> None:
        """Add images, over all ranks."""
        self._num_images += num_images

    def waiting(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield `items`, and add up the time spent waiting for each."""
        while True:
            start = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._waited_s += time.perf_counter() - start
            yield item

    def read(self) -> Row:
        """Return images per second, seconds and the fraction of waiting; None without images."""
        seconds = time.perf_counter() - self._start
        row: Row = {"images_per_s": None, "feed_wait_share": None, "seconds": None}
        if self._num_images:
            row["images_per_s"] = self._num_images / seconds
            row["feed_wait_share"] = self._waited_s / seconds
            row["seconds"] = seconds
        return row

    def restart(self) -> None:
        """Start at zero again."""
        self._num_images, self._waited_s = 0, 0.0
        self._start = time.perf_counter()


def memory_bytes(device: torch.device) -> int:
    """Return the peak memory in bytes: of tensors on a GPU, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()
