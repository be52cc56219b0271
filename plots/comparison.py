"""Draws the curves of several runs, or of logs of other programs, in one picture."""

import re
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alexrep.errors import mismatch
from alexrep.runs.contents import NothingToShow, names_of, read_history
from alexrep.runs.history import History

from . import levels, panels, style
from .levels import Level
from .panels import End

HEIGHT, ROWS = 9.1, ((1.1, 2.7), (4.05, 1.85), (6.15, 1.4), (7.8, 0.75))
"""Height of the page; top and height of the panels, in inches."""
LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
"""Line styles; the next one where the colours are used up."""
KEY, LONGEST = 0.2, 12
"""Height of a line of the key, in inches, and the longest name, in letters, that needs none."""


def draw(runs: Sequence[Path]) -> Figure:
    """Draw val errors, losses and rates of `runs`, with the published errors as lines.

    Args:
        runs: Folders of runs, and CSV logs of other programs. The published errors are those
            for the classes of the runs; none for logs of other programs alone.

    Raises:
        DataError: If a log or recipe is damaged.
        NothingToShow: If a log is missing or has no finished epoch, or some count epochs and
            some only steps.
    """
    histories = dict(zip(names_of(runs), map(_read, runs), strict=True))
    axis = _axis(histories)
    published = tuple(dict.fromkeys(line for run in runs for line in levels.of(run)))
    names = list(histories)
    has_key = max(map(len, names)) > LONGEST
    below = KEY * len(names) if has_key else 0.0
    with style.canvas(HEIGHT + below) as figure:
        title = f"{', '.join(names)}: val error"
        if len(names) > 3 or has_key:
            title = f"{len(names)} runs: val error" if len(names) > 1 else f"{names[0]}: val error"
        style.title(figure, title, "loss: thick of val, thin of training; centre patch")
        if has_key:
            _key(figure, histories)
            histories = dict(zip(told_apart(names), histories.values(), strict=True))
        top1, top5, loss, rate = panels.stack(figure, [(top + below, high) for top, high in ROWS])
        end = max(float(np.nanmax(history.column(axis))) for history in histories.values())
        panels.scale_epochs(rate, end, axis)
        _errors(top1, histories, axis, 1, published)
        _errors(top5, histories, axis, 5, published)
        _losses(loss, histories, axis)
        _rates(rate, histories, axis)
    return figure


def _read(run: Path) -> History:
    history = read_history(run)
    if not history.epochs:
        raise NothingToShow(mismatch(run, "a finished epoch", "none yet", "train on"))
    return history


def told_apart(names: Sequence[str]) -> list[str]:
    """Return what several names do not have in common.

    What all of them begin or end with is left out: whole parts between hyphens or slashes.
    """
    parts = [re.split(r"(?<=[-_/])", name) for name in names]
    for at in (0, -1):
        while len(names) > 1 and all(len(own) > 1 for own in parts):
            if len({own[at] for own in parts}) > 1:
                break
            for own in parts:
                own.pop(at)
    return ["".join(own).rstrip("-_/") for own in parts]


def _key(figure: Figure, histories: dict[str, History]) -> None:
    """Write the whole names of the runs below the subtitle, each beside its line."""
    page = style.page(figure)
    left, middle = style.MARGIN, ROWS[0][0] - KEY
    for number, (name, look) in enumerate(zip(histories, _looks(histories), strict=True)):
        y = middle + number * KEY
        page.plot([left, left + 0.3], [y, y], lw=1.6, **look)
        text = style.shorten(figure, name, style.WIDTH - left - 0.7, style.TEXT)
        page.text(left + 0.4, y, text, size=style.TEXT, va="center_baseline")


def _axis(histories: dict[str, History]) -> str:
    """Return what all of the runs count: epochs, or else steps."""
    for axis in ("epoch", "step"):
        lacking = [n for n, h in histories.items() if not np.isfinite(h.column(axis)).any()]
        if not lacking:
            return axis
    wanted, advice = "epochs or steps in all of the logs", "draw it by itself"
    raise NothingToShow(mismatch(lacking[0], wanted, "others", advice))


def _looks(histories: dict[str, History]) -> list[dict[str, Any]]:
    """Return colour and line style of each run."""
    colours = cycle(style.SERIES)
    return [
        {"color": next(colours), "ls": LINES[index // len(style.SERIES) % len(LINES)]}
        for index, _ in enumerate(histories)
    ]


def _errors(
    panel: Axes, histories: dict[str, History], axis: str, top: int, published: Sequence[Level]
) -> None:
    """Draw the val errors of all runs, labelled at the ends."""
    panels.name(panel, f"val top-{top} error (%)")
    columns = [100 * history.column(f"val_top{top}_error") for history in histories.values()]
    pairs = [(line.text, line.top1 if top == 1 else line.top5) for line in published]
    known = [(text, level) for text, level in pairs if level is not None]
    foot = panels.scale_errors(panel, np.concatenate([*columns, [level for _, level in known]]))
    ends = [End(level, f"{level:g} % {text}", style.QUIET) for text, level in known]
    for _, level in known:
        panels.draw_level(panel, level)
    for (name, history), values, look in zip(
        histories.items(), columns, _looks(histories), strict=True
    ):
        end = _curve(panel, history.column(axis), np.maximum(values, foot), 1.6, look)
        if end is not None:
            exact = values[np.isfinite(values)][-1]
            ends.append(End(end, f"{panels.percent(exact)} {name}", look["color"]))
    if len(ends) == len(known):
        centred: dict[str, Any] = {"transform": panel.transAxes, "ha": "center", "va": "center"}
        panel.text(0.5, 0.5, "not in these logs", color=style.QUIET, **centred)
    panels.label_ends(panel, ends)


def _losses(panel: Axes, histories: dict[str, History], axis: str) -> None:
    panels.name(panel, "loss")
    both = [h.column(key) for h in histories.values() for key in ("train_loss", "val_loss")]
    panels.scale_from_zero(panel, np.concatenate(both))
    ends = []
    for (name, history), look in zip(histories.items(), _looks(histories), strict=True):
        places = history.column(axis)
        train = _curve(panel, places, history.column("train_loss"), 0.8, look)
        val = _curve(panel, places, history.column("val_loss"), 1.6, look)
        for end, of in ((val, ""), (train, "train ")):
            ends += [] if end is None else [End(end, f"{end:.3g} {of}{name}", look["color"])]
    if len(ends) > panels.num_labels(panel):  # those of training are the thin ones
        ends = [end for end in ends if " train " not in end.text] or ends
    panels.label_ends(panel, ends)


def _rates(panel: Axes, histories: dict[str, History], axis: str) -> None:
    """Draw the rates of weights as steps, each in force until the end of its epoch."""
    panels.name(panel, "rate")
    columns = [history.column("weights_rate") for history in histories.values()]
    panels.scale_rates(panel, np.concatenate(columns))
    foot, ends = panel.get_ylim()[0], []
    for (name, history), rates, look in zip(
        histories.items(), columns, _looks(histories), strict=True
    ):
        places, is_known = history.column(axis), np.isfinite(rates)
        panel.step(places[is_known], rates[is_known], where="pre", lw=1.4, **look)
        if is_known.any():
            rate = float(rates[is_known][-1])
            ends.append(End(max(rate, foot), f"{panels.rate(rate)} {name}", look["color"]))
    panels.label_ends(panel, ends)


def _curve(
    panel: Axes,
    places: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    width: float,
    look: dict[str, Any],
) -> float | None:
    """Draw a column; lead a dotted line from where it ends to its label. Return its last value."""
    has_value, end = np.isfinite(values), panels.last(places, values)
    panel.plot(places[has_value], values[has_value], lw=width, scalex=False, scaley=False, **look)
    if end is None:
        return None
    edge = panel.get_xlim()[1]
    panel.plot([end[0], edge], [end[1]] * 2, color=look["color"], lw=0.6, ls=":", scalex=False)
    if has_value.sum() == 1:
        panel.plot(*end, "o", ms=3.5, color=look["color"], scalex=False, scaley=False)
    return end[1]
