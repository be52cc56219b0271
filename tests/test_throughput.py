"""Images per second and the share of waiting, with a fake clock."""

import time
from collections.abc import Iterator

import pytest
import torch

from alexrep.training.throughput import Throughput, memory_bytes


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose only element is the time."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_the_share_of_waiting_is_the_time_until_each_item_comes(clock: list[float]) -> None:
    def items() -> Iterator[int]:
        for item in range(2):
            clock[0] += 1
            yield item
        clock[0] += 1

    throughput = Throughput()
    for _ in throughput.waiting(items()):
        clock[0] += 3.5
        throughput.count(25)
    expected = {"images_per_s": 5.0, "feed_wait_share": 0.3, "seconds": 10.0}
    assert throughput.read() == expected


def test_it_starts_again(clock: list[float]) -> None:
    throughput = Throughput()
    throughput.count(50)
    clock[0] += 10
    throughput.restart()
    throughput.count(50)
    clock[0] += 5
    assert throughput.read() == {"images_per_s": 10.0, "feed_wait_share": 0.0, "seconds": 5.0}


def test_without_images_there_is_nothing_to_tell() -> None:
    assert set(Throughput().read().values()) == {None}


def test_memory_is_that_of_the_process() -> None:
    block = torch.zeros(64 << 20, dtype=torch.uint8)
    assert memory_bytes(torch.device("cpu")) > block.numel()
