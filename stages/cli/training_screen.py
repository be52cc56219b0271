"""How a training shows on a terminal, and in a log: a bar or a line now and then, a line an epoch.

Errors are those of val by the centre patch, top-1 and top-5, in percent.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Never

from alexrep.training.watcher import Watcher

from .progress import INTERVAL_S, span

if TYPE_CHECKING:
    from tqdm import tqdm

    from alexrep.runs.log import Row
    from alexrep.training.request import Request

RECENT = 100
"""Steps that the speed is the mean of."""


class Screen(Watcher):
    """Keeps what is shown of a training; this one shows nothing of it.

    Args:
        epochs: Epochs of the whole run.
        num_images: Training images in an epoch.
        clock: Seconds since some moment.
    """

    def __init__(
        self, epochs: int, num_images: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._epochs, self._in_epoch, self._clock = epochs, num_images, clock
        self._seen = 0
        self._epoch, self._rate = 0, float("nan")
        self._loss = self._errors = ""
        self._steps: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._last = self._val_start = clock()
        self._val_s, self._to_score, self._scored = 0.0, 0, 0

    def progress(self, num_images: int) -> None:
        """Count in the training images of a step."""
        now = self._clock()
        self._steps.append((num_images, now - self._last))
        self._last = now
        self._seen += num_images
        self.refresh()

    def before(self, num_images: int) -> None:
        """Count in what an earlier start has seen."""
        self._seen += num_images

    def goes_on(self, epoch: int, step: int) -> None:
        """Say where the run goes on."""
        self.keep(f"goes on after epoch {epoch} of {self._epochs}, at step {step:,}")

    def trains(self, epoch: int, rate: float) -> None:
        """Note the epoch, and that the clock of its first step starts now."""
        self._epoch, self._rate, self._to_score = epoch + 1, rate, 0
        self._last = self._clock()

    def loss(self, loss: float) -> None:
        """Note the loss of a step."""
        self._loss = f"loss {loss:.4g}"

    def validates(self, epoch: int, num_images: int) -> None:
        """Say that val is scored."""
        self._val_start, self._to_score, self._scored = self._clock(), num_images, 0
        if epoch == 0:
            self.keep(
                f"scores the network before its first step, on {num_images:,} prepared val images"
            )
        self.refresh()

    def scored(self, num_images: int) -> None:
        """Count in images of val."""
        self._scored = min(self._to_score, self._scored + num_images)
        self.refresh()

    def row(self, row: Row) -> None:
        """Keep a line for the epoch."""
        self._val_s, self._to_score = self._clock() - self._val_start, 0
        errors = [_percent(row.get(f"val_top{top}_error")) for top in (1, 5)]
        self._errors = f"val {errors[0]} / {errors[1]} %"
        self.keep(self._line(row, errors))

    def refresh(self) -> None:
        """Show how far the training is, if it is time."""

    def keep(self, text: str) -> None:
        """Show a line that stays."""

    def standing(self) -> str:
        """Return how far the training is: epoch, loss, val errors, rate, images/s, time left."""
        head = f"epoch {self._epoch}/{self._epochs}"
        if self._to_score:
            return f"{head} val {self._scored:,}/{self._to_score:,}"
        speed = self._speed()
        parts = [head, self._loss, self._errors, f"rate {self._rate:g}"]
        parts += [f"{speed:,.4g} images/s", f"{self._left(speed)} left"] if speed else []
        return " ".join(part for part in parts if part)

    def _speed(self) -> float:
        """Return training images per second of the last steps; 0 before there are any."""
        seconds = sum(spent for _, spent in self._steps)
        return sum(num for num, _ in self._steps) / seconds if seconds else 0.0

    def _left(self, speed: float) -> str:
        """Return the time left, with val as it took the last time."""
        images = self._epochs * self._in_epoch - self._seen
        return span(images / speed + (self._epochs - self._epoch + 1) * self._val_s)

    def _line(self, row: Row, errors: list[str]) -> str:
        val = f"val loss {_number(row.get('val_loss'))}, top-1 {errors[0]} %, top-5 {errors[1]} %"
        if not row.get("epoch"):
            return f"untrained: {val}"
        train = [_percent(row.get(key)) for key in ("train_error", "train_top5_error")]
        parts = [
            f"epoch {row['epoch']}/{self._epochs}: train loss {_number(row.get('train_loss'))}",
            f"top-1 {train[0]} %, top-5 {train[1]} %; {val}",
            f"rate {_number(row.get('weights_rate'))}",
        ]
        head = f"{parts[0]}, {parts[1]}; {parts[2]}"
        speed = row.get("images_per_s")
        return f"{head}; {speed:,.4g} images/s" if isinstance(speed, float) else head


class BarScreen(Screen):
    """On a terminal: a bar, and the lines that stay above it."""

    def __init__(self, bar: tqdm[Never], epochs: int, num_images: int) -> None:
        super().__init__(epochs, num_images)
        self._bar = bar

    def refresh(self) -> None:
        """Set the text of the bar; tqdm draws it ten times a second at most."""
        self._bar.set_description_str(self.standing(), refresh=False)
        self._bar.update(self._seen - self._bar.n)
        if self._to_score:
            self._bar.refresh()

    def keep(self, text: str) -> None:
        """Write a line above the bar."""
        self._bar.write(text, file=sys.stderr)


class LineScreen(Screen):
    """In a log: a line every half minute, and one an epoch."""

    def __init__(
        self, epochs: int, num_images: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(epochs, num_images, clock)
        self._said = clock()

    def refresh(self) -> None:
        """Say how far the training is, every half minute."""
        now = self._clock()
        if now - self._said >= INTERVAL_S:
            self._said = now
            self.keep(self.standing())

    def keep(self, text: str) -> None:
        """Write a line."""
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown(request: Request, quiet: bool) -> Iterator[Screen]:
    """Yield what shows a training: nothing, a bar, or lines."""
    from alexrep.training import run

    length, epochs = run.length(request), request.recipe.schedule.epochs
    num_images = length // epochs
    if quiet:
        yield Screen(epochs, num_images)
    elif sys.stderr.isatty():
        from tqdm import tqdm

        form = "{desc} |{bar}| {percentage:3.0f} %"
        with tqdm(total=length, bar_format=form, file=sys.stderr, dynamic_ncols=True) as bar:
            yield BarScreen(bar, epochs, num_images)
    else:
        yield LineScreen(epochs, num_images)


def _percent(error: object) -> str:
    return f"{100 * error:.2f}" if isinstance(error, int | float) else "?"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "?"
