"""How far a stage is: a bar on a terminal, a line every half minute in a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Never, Protocol

import typer

if TYPE_CHECKING:
    from tqdm import tqdm

INTERVAL_S = 30.0


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
    check: Callable[[], None] | None = None,
) -> Iterator[Progress]:
    """Yield what is told how many more of `total` are done.

    Args:
        total: How many there are.
        unit: What they are, in the plural.
        quiet: Show nothing.
        clock: Seconds since some moment.
        check: Called after each part of the work; raises if the folder's lock was lost.
    """
    with _shown(total, unit, quiet, clock) as progress:
        yield _Checked(progress, check) if check else progress


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


class _Checked:
    """Progress that looks at the lock after each part of the work."""

    def __init__(self, progress: Progress, check: Callable[[], None]) -> None:
        self._progress, self._check = progress, check

    def __call__(self, more: int, /) -> None:
        self._progress(more)
        self._check()

    def before(self, more: int, /) -> None:
        self._progress.before(more)
        self._check()


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


def span(seconds: float) -> str:
    """Write a time as h:mm:ss, or m:ss under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
