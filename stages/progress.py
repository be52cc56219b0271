"""How far a stage is: a bar on a terminal, a line every half minute in a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import typer

INTERVAL_S = 30.0


def is_quiet(ctx: typer.Context) -> bool:
    """Tell whether `alexrep -q` was said."""
    return bool(ctx.find_root().params.get("quiet"))


@contextlib.contextmanager
def meter(
    total: int, unit: str, quiet: bool = False, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more of `total` are done.

    Args:
        total: How many there are.
        unit: What they are, in the plural.
        quiet: Show nothing.
        clock: Seconds since some moment.
    """
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True) as bar:

            def advance(more: int) -> None:
                bar.update(more)

            yield advance
    else:
        yield _Lines(total, unit, clock).advance


class _Lines:
    """Progress as plain lines on stderr, at most one per interval."""

    def __init__(self, total: int, unit: str, clock: Callable[[], float]) -> None:
        self._total, self._unit, self._clock = total, unit, clock
        self._done = 0
        self._start = self._said = clock()

    def advance(self, more: int) -> None:
        self._done += more
        now = self._clock()
        if now - self._said >= INTERVAL_S:
            self._said = now
            print(self._line(now - self._start), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        left = f"{span((self._total - self._done) / rate)} left" if rate else "time left unknown"
        return f"{self._done:,}/{self._total:,} {self._unit}, {rate:,.1f}/s, {left}"


def span(seconds: float) -> str:
    """Write a time as h:mm:ss, or m:ss under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
