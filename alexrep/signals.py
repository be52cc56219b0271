"""Signals: the first sets a flag that the work polls, the second ends the process."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from alexrep.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP)
"""SIGHUP, of a terminal that is closed, only where it is not ignored, as nohup has it."""


@contextlib.contextmanager
def flagged(
    unit: str = "unit", numbers: Sequence[signal.Signals] = SIGNALS
) -> Iterator[Callable[[], str | None]]:
    """Yield a function that returns the name of the signal received, or None.

    The handler records the first signal and says so; a second one, but for SIGHUP, has its
    default effect at once. The previous handlers are restored afterwards.

    Args:
        unit: What is finished before the work stops, for the message.
        numbers: The signals.
    """
    received: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGHUP:
            return  # a terminal that is closed may say so twice: shell and system
        if received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        received.append(number)
        _acknowledge(number, unit)

    is_kept = signal.SIGHUP in numbers and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    handled = [number for number in numbers if not (number == signal.SIGHUP and is_kept)]
    previous = {number: signal.signal(number, record) for number in handled}
    try:
        yield lambda: signal.Signals(received[0]).name if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def settle(code: int) -> None:
    """Let a signal that comes while Python shuts down end the process with the code it has earned.

    By its default it would make a failure of work that is done: Slurm's warning, say, that the
    time is nearly over, at the end of a training.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(code))


def spoken(name: str) -> str:
    """Return what a user calls a signal: Ctrl-C for SIGINT."""
    return "Ctrl-C" if name == signal.SIGINT.name else name


def watch(
    done: Callable[[int], None], signalled: Callable[[], str | None]
) -> Callable[[int], None]:
    """Wrap `done` to raise Interrupted after a signal, for work that has nothing to save."""

    def checked(num_images: int) -> None:
        done(num_images)
        name = signalled()
        if name is not None:
            raise Interrupted(f"scoring: stopped by {spoken(name)}, nothing kept; start again")

    return checked


def _acknowledge(number: int, unit: str) -> None:
    """Say at once that a signal has come; of several processes the first one does."""
    if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) != "0":
        return
    name = spoken(signal.Signals(number).name)
    text = f"alexrep: {name}: stopping after this {unit}; again to end at once\n"
    # Below what Python buffers, which may be at work on another line; a bar has its own line.
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}".encode() if os.isatty(2) else text.encode())
