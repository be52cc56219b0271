"""Signals: the first one sets a flag that the work looks at, the second one ends the process."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from alexrep.errors import Interrupted, mismatch

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


@contextlib.contextmanager
def flagged() -> Iterator[Callable[[], str | None]]:
    """Yield a function that returns the name of the signal that has come, or None.

    The handler does nothing but note the first signal; a second one has its
    usual effect at once. The former handlers are back afterwards.
    """
    come: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if come:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        come.append(number)

    former = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: signal.Signals(come[0]).name if come else None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def watch(
    done: Callable[[int], None], signalled: Callable[[], str | None]
) -> Callable[[int], None]:
    """Wrap `done` to raise Interrupted after a signal, for work that has nothing to save."""

    def look(num_images: int) -> None:
        done(num_images)
        signal_name = signalled()
        if signal_name is not None:
            raise Interrupted(mismatch("scoring", "to go on", signal_name, "start again"))

    return look
