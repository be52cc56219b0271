"""Waiting for other processes, with a limit that suits a busy machine."""

import time
from collections.abc import Callable

PATIENCE_S = 120
"""Longest wait of a test for something that takes a moment on an idle machine, in seconds."""


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Poll until `is_so()` is true; after `seconds`, fail and name `what`."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.05)
