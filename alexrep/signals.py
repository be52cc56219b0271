"""Signals: the first sets a flag that the work polls, the second ends the process."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from alexrep.errors import Interrupted, mismatch

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


@contextlib.contextmanager
def flagged() -> Iterator[Callable[[], str | None]]:
    """Yield a function that returns the name of the signal received, or None.

    The handler only records the first signal; a second one has its default
    effect at once. The previous handlers are restored afterwards.
    """
    received: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        if received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        received.append(number)

    previous = {number: signal.signal(number, record) for number in SIGNALS}
    try:
        yield lambda: signal.Signals(received[0]).name if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def watch(
    done: Callable[[int], None], signalled: Callable[[], str | None]
) -> Callable[[int], None]:
    """Wrap `done` to raise Interrupted after a signal, for work that has nothing to save."""

    def checked(num_images: int) -> None:
        done(num_images)
        signal_name = signalled()
        if signal_name is not None:
            raise Interrupted(mismatch("scoring", "to go on", signal_name, "start again"))

    return checked
