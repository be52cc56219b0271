"""How far a stage is: a bar on a terminal, a line every half minute in a log."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Never, Protocol

import typer

from alexrep.errors import Interrupted

if TYPE_CHECKING:
    from tqdm import tqdm

INTERVAL_S = 30.0
_USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
"""Signals of a terminal, and their handlers where nobody else handles them."""


class Progress(Protocol):
    """Is called with the number of those that have been done since it was last called."""

    def __call__(self, more: int, /) -> None:
        """Count in `more`."""

    def before(self, more: int, /) -> None:
        """Count in those that an earlier start has done: they say nothing of the rate."""


def is_quiet(ctx: typer.Context) -> bool:
    """Tell whether `alexrep -q` was said."""
    return bool(ctx.find_root().params.get("quiet"))


@contextlib.contextmanager
def meter(
    total: int,
    unit: str,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
    check: Callable[[], None] = lambda: None,
    where: object = "alexrep",
    keeps: bool = True,
) -> Iterator["Counter"]:
    """Yield what is told how many more of `total` are done.

    A first Ctrl-C or SIGHUP is acknowledged at once, and ends the work when it next tells of a
    part that is done; a second Ctrl-C ends the process.

    Args:
        total: How many there are.
        unit: What they are, in the plural.
        quiet: Show nothing.
        clock: Seconds since some moment.
        check: Called after each part of the work; raises if the folder's lock was lost.
        where: What is worked on, for the message after a signal.
        keeps: Whether what is done need not be done again.

    Raises:
        KeyboardInterrupt: After Ctrl-C; its text says what is kept.
        Interrupted: After SIGHUP, of a terminal that is closed; its text says so, too.
    """
    counter = Counter(check)
    try:
        with _shown(total, unit, quiet, clock) as counter.progress, _stoppable() as counter.stopped:
            yield counter
    except (KeyboardInterrupt, _HungUp) as error:
        kept = "done and kept" if keeps else "looked at"
        done = f"{counter.done:,} of {total:,} {unit} {kept}"
        again = "start again to go on" if keeps else "start again"
        if isinstance(error, _HungUp):
            raise Interrupted(f"{where}: {done}; stopped by SIGHUP; {again}") from None
        raise KeyboardInterrupt(f"{where}: {done}; stopped by Ctrl-C; {again}") from None


class _HungUp(Exception):
    """The terminal was closed."""


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[], str | None]]:
    """Yield what tells of a signal of the terminal that is not ignored or handled elsewhere."""
    from alexrep import signals

    is_main = threading.current_thread() is threading.main_thread()
    numbers = [one for one, usual in _USUAL.items() if is_main and signal.getsignal(one) == usual]
    with signals.flagged(numbers=numbers) as signalled:
        yield signalled


@contextlib.contextmanager
def _shown(total: int, unit: str, quiet: bool, clock: Callable[[], float]) -> Iterator[Progress]:
    """Yield what shows progress: nothing, a bar, or lines."""
    if quiet:
        yield _Silence()
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(total, unit, clock)


class Counter:
    """Counts, and looks at the lock and for signals after each part of the work."""

    progress: Progress
    stopped: Callable[[], str | None]

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.done = 0

    def __call__(self, more: int, /) -> None:
        """Count in `more`."""
        self.progress(more)
        self._count(more)

    def before(self, more: int, /) -> None:
        """Count in those that an earlier start has done."""
        self.progress.before(more)
        self._count(more)

    def note(self, text: str, /) -> None:
        """Show a line, above the bar if there is one."""
        from tqdm import tqdm

        if not isinstance(self.progress, _Silence):
            tqdm.write(text, file=sys.stderr)

    def _count(self, more: int) -> None:
        self.done += more
        self._check()
        if name := self.stopped():
            raise KeyboardInterrupt if name == signal.SIGINT.name else _HungUp


class _Silence:
    """No progress at all."""

    def __call__(self, more: int, /) -> None:
        pass

    def before(self, more: int, /) -> None:
        pass


class _Bar:
    """Progress as a bar on a terminal."""

    def __init__(self, bar: "tqdm[Never]") -> None:
        self._bar = bar

    def __call__(self, more: int, /) -> None:
        self._bar.update(more)

    def before(self, more: int, /) -> None:
        # As if the bar had been made with so many more as `initial`.
        self._bar.initial += more
        self._bar.last_print_n += more
        self._bar.n += more
        self._bar.refresh()


class _Lines:
    """Progress as plain lines on stderr, at most one per interval."""

    def __init__(self, total: int, unit: str, clock: Callable[[], float]) -> None:
        self._total, self._unit, self._clock = total, unit, clock
        self._done = self._before = 0
        self._start = self._said = clock()

    def __call__(self, more: int, /) -> None:
        self._done += more
        now = self._clock()
        if now - self._said >= INTERVAL_S:
            self._said = now
            print(self._line(now - self._start), file=sys.stderr, flush=True)

    def before(self, more: int, /) -> None:
        self._done += more
        self._before += more

    def _line(self, seconds: float) -> str:
        rate = (self._done - self._before) / seconds
        left = f"{span((self._total - self._done) / rate)} left" if rate else "time left unknown"
        return f"{self._done:,}/{self._total:,} {self._unit}, {rate:,.1f}/s, {left}"


def counted(count: int, noun: str) -> str:
    """Write a number of things whose name in the plural ends in s."""
    one = noun.removesuffix("es") if noun.endswith("sses") else noun.removesuffix("s")
    return f"{count:,} {one if count == 1 else noun}"


def with_quarantined(count: int, num_quarantined: int, noun: str) -> str:
    """Write a number of images, and how many of them could not be prepared, if any."""
    rest = f" ({num_quarantined:,} of them in quarantine)" if num_quarantined else ""
    return f"{counted(count, noun)}{rest}"


def span(seconds: float) -> str:
    """Write a time as h:mm:ss, or m:ss under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
