"""Draws loss and error by epoch, with the rates below and marks where they change."""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexrep.errors import mismatch
from alexrep.runs.contents import NothingToShow, name_of, num_planned, read_history
from alexrep.runs.history import Floats, History, best, number, thin

from . import levels, panels, rates, style
from .levels import Level
from .panels import End

HEIGHT, ROWS = 7.3, ((1.15, 1.95), (3.4, 2.35), (6.05, 0.7))
"""Height of the page; top and height of the panels of loss, error and rates, in inches."""
RING: dict[str, Any] = {"ms": 9, "mfc": "none", "mec": style.INK, "mew": 1.1, "clip_on": False}
"""Style of the ring around the best epoch."""
MAX_DOTS = 40
"""Most epochs that are each marked with a dot."""
LOSSES = (("train_loss", "training", style.BLUE), ("val_loss", "val", style.VERMILLION))
ERRORS = (
    ("train_error", "training top-1", style.BLUE),
    ("val_top1_error", "val top-1", style.VERMILLION),
    ("train_top5_error", "training top-5", style.SKY),
    ("val_top5_error", "val top-5", style.ORANGE),
)
"""Columns of the log, and name and colour of their lines."""


def draw(run: Path) -> Figure:
    """Draw the curves of `run`, or those of the log of another program.

    Args:
        run: The run's folder, or the CSV file.

    Raises:
        DataError: If the log or the recipe is damaged.
        NothingToShow: If one of them is missing, or the log is empty.
    """
    history = read_history(run)
    if not history.epochs and not history.step_at.size:
        what = run / "log.jsonl", "steps or epochs", "none yet", "run alexrep train"
        raise NothingToShow(mismatch(*what))
    with style.canvas(HEIGHT) as figure:
        lines = summary(history, num_planned(run)), _what_is_pale(history)
        style.title(figure, f"{name_of(run)}: loss and error", *filter(None, lines))
        loss, error, rate = panels.stack(figure, ROWS)
        panels.scale_epochs(rate, history.end, history.axis)
        _loss(loss, history)
        _error(error, history, levels.of(run))
        rates.draw_rates(rate, history)
        panels.mark((loss, error, rate), rates.marked(history))
    return figure


def summary(history: History, num_planned: int | None) -> str:
    """Return the subtitle: how far the run has come, and its best epoch.

    Args:
        history: The log.
        num_planned: Epochs that the run is to have; None where it is not known.
    """
    of = f" of {num_planned}" if num_planned else ""
    one = "epoch" if of in ("", " of 1") and history.num_finished == 1 else "epochs"
    progress = f"{history.num_finished}{of} {one}"
    row = best(history)
    if row is None:
        return f"{progress}, no val error yet"
    errors = [
        f"{text} {100 * number(row, key):.2f} %"
        for text, key in (("val top-1 error", "val_top1_error"), ("top-5", "val_top5_error"))
        if np.isfinite(number(row, key))
    ]
    where = f"{history.axis} {number(row, history.axis):g}"
    return f"{progress}; best at {where} (ring): {', '.join(errors)}"


def _what_is_pale(history: History) -> str:
    num = len(history.step_at) / max(len(thin(history.step_at, history.step_loss)[0]), 1)
    if num > 1:
        return f"pale: from the lowest to the highest loss of every {ceil(num)} logged steps"
    return "pale: loss of each logged step" if len(history.step_at) else ""


def _loss(panel: Axes, history: History) -> None:
    at, low, high = thin(history.step_at, history.step_loss)
    if len(at) < len(history.step_at):
        panel.fill_between(at, low, high, color=style.BLUE, alpha=0.22, lw=0)
    elif len(at):
        panel.plot(at, low, color=style.BLUE, alpha=0.35, lw=0.7)
    columns = {key: history.column(key) for key, _, _ in LOSSES}
    panels.name(panel, "loss")
    panels.scale_from_zero(panel, np.concatenate([high, *columns.values()]))
    ends = []
    for key, text, colour in LOSSES:
        end = _curve(panel, history.places, columns[key], colour)
        ends += [] if end is None else [End(end[1], f"{text} {end[1]:.3g}", colour)]
    panels.label_ends(panel, ends)


def _error(panel: Axes, history: History, published: tuple[Level, ...]) -> None:
    columns = {key: 100 * history.column(key) for key, _, _ in ERRORS}
    known = [(line.text, line.top1) for line in published]
    known += [(line.text, line.top5) for line in published if line.top5 is not None]
    panels.name(panel, "error (%)")
    foot = panels.scale_errors(panel, np.concatenate([*columns.values(), [x for _, x in known]]))
    ends = []
    for text, level in known:
        panels.draw_level(panel, level)
        ends.append(End(level, f"{text} {level:g} %", style.QUIET))
    for key, text, colour in ERRORS:
        end = _curve(panel, history.places, np.maximum(columns[key], foot), colour)
        if end is not None:
            exact = columns[key][np.isfinite(columns[key])][-1]
            ends.append(End(end[1], f"{text} {panels.percent(exact)}", colour))
    row = best(history)
    if row is not None:
        x, y = number(row, history.axis), max(100 * number(row, "val_top1_error"), foot)
        panel.plot([x], [y], "o", scalex=False, scaley=False, **RING)
    panels.label_ends(panel, ends)


def _curve(panel: Axes, places: Floats, values: Floats, colour: str) -> tuple[float, float] | None:
    """Draw one column of the epoch rows, without the rows that lack it; return where it ends."""
    has_value = np.isfinite(values)
    marker = "o" if has_value.sum() <= MAX_DOTS else ""
    look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 2.8, "scalex": False}
    if has_value.any():
        panel.plot(places[has_value], values[has_value], scaley=False, **look)
    return panels.last(places, values)
