"""Draws how long a step took, how much of it was waiting for images, and the memory."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexrep.errors import mismatch
from alexrep.runs.contents import NothingToShow, name_of, read_history, read_recipe
from alexrep.runs.history import Floats, History, thin

from . import panels, style
from .panels import End

HEIGHT, ROWS = 5.9, ((1.0, 2.1), (3.3, 1.0), (4.5, 0.8))
"""Height of the page; top and height of the panels, in inches."""
MOST = 300
"""Groups of steps that are drawn; the mean of each."""


def draw(run: Path) -> Figure:
    """Draw time of a step, images per second and memory of `run` by epoch.

    Raises:
        NothingToShow: If the log is missing, or has no times.
        DataError: If the log or the recipe is damaged.
    """
    history, batch_size = read_history(run), read_recipe(run).feed.batch_size
    speeds = history.step_column("images_per_s")
    is_timed = np.isfinite(speeds) & (speeds > 0)
    if not is_timed.any():
        advice = "a log has them from its first steps on"
        raise NothingToShow(mismatch(run / "log.jsonl", "times of steps", "none", advice))
    at, speeds = history.step_at[is_timed], speeds[is_timed]
    times = 1000 * batch_size / speeds
    waits = times * np.nan_to_num(history.step_column("feed_wait_share")[is_timed])
    with style.canvas(HEIGHT) as figure:
        title = f"{name_of(run)}: time of a step, of {batch_size} images"
        style.title(figure, title, summary(history, times, waits))
        step, rate, memory = panels.stack(figure, ROWS)
        panels.scale_epochs(memory, history.end, "epoch" if history.in_epochs else "step")
        _times(step, at, times, waits)
        _line(rate, at, speeds, "images/s", ",.0f")
        gigabytes = history.step_column("memory_bytes")[is_timed] / 1e9
        _line(memory, at, gigabytes, "memory (GB)", ".2f")
    return figure


def summary(history: History, times: Floats, waits: Floats) -> str:
    """Return the subtitle: the median step, the share of waiting, and the hours of all epochs."""
    share = waits.sum() / times.sum()
    text = f"median {np.median(times):,.0f} ms; {100 * share:.1f} % of the time waiting for images"
    seconds = float(np.nansum(history.column("seconds")))
    return f"{text}; {_duration(seconds)} of training" if seconds else text


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"


def _mean(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return the mean place and value of groups of neighbours."""
    places, _, _ = thin(at, values, MOST)
    groups = np.array_split(values, len(places))
    return places, np.array([group.mean() for group in groups])


def _times(panel: Axes, at: Floats, times: Floats, waits: Floats) -> None:
    """Draw what is computed, and on it what is waited for images."""
    panels.name(panel, "time of a step (ms)")
    places, whole = _mean(at, times)
    _, waited = _mean(at, waits)
    panels.scale_from_zero(panel, np.append(whole, np.percentile(whole, 99)))
    look: dict[str, Any] = {"lw": 0, "step": "mid" if len(places) > 1 else None}
    panel.fill_between(places, 0, whole - waited, color=style.BLUE, alpha=0.35, **look)
    panel.fill_between(places, whole - waited, whole, color=style.ORANGE, alpha=0.8, **look)
    ends = [
        End(float(whole[-1] - waited[-1] / 2), f"waiting {waited[-1]:,.0f} ms", style.ORANGE),
        End(
            float(whole[-1] - waited[-1]) / 2,
            f"computing {(whole - waited)[-1]:,.0f} ms",
            style.BLUE,
        ),
    ]
    panels.label_ends(panel, ends)


def _line(panel: Axes, at: Floats, values: Floats, name: str, form: str) -> None:
    panels.name(panel, name)
    places, means = _mean(at, values)
    panels.scale_from_zero(panel, means)
    panel.plot(places, means, color=style.INK, lw=1.2, scalex=False, scaley=False)
    if np.isfinite(means[-1]):
        panels.label_ends(panel, [End(float(means[-1]), f"{means[-1]:{form}}", style.INK)])
