"""Waiting for what other processes do, for as long as a busy machine may need."""

import time
from collections.abc import Callable

PATIENCE_S = 120
"""How long a test waits for what takes a moment on an idle machine, in seconds."""


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until something is so; fail after `seconds` and name it."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.05)
