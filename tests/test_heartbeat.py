"""Heartbeats whose store does not answer any more."""

import threading
from typing import Any, cast

import pytest

from alexrep.compute.heartbeat import Heartbeat
from alexrep.compute.rank import ProcessRank
from alexrep.errors import DataError

LIMIT_S = 30
"""A limit in seconds, many times what it takes."""


class Frozen:
    """A store whose process was stopped: calls hang, and fail once `is_killed` is set."""

    def __init__(self) -> None:
        self.is_killed = threading.Event()

    def clone(self) -> "Frozen":
        return self

    def add(self, key: str, amount: int) -> int:
        self.is_killed.wait()
        raise RuntimeError("Connection reset by peer")


def test_a_process_can_leave_with_its_own_error_although_the_store_is_frozen() -> None:
    store, ends = Frozen(), []

    def leave() -> None:
        heartbeat = Heartbeat(cast(Any, store), ProcessRank(1, 2, 1, "localhost:1"), patience_s=1)
        with pytest.raises(DataError, match="pack again"), heartbeat:
            raise DataError("shard 3: expected bytes, found none; pack again")
        ends.append("left")

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    in_time = list(ends)
    store.is_killed.set()
    thread.join(LIMIT_S)
    assert in_time == ["left"]
