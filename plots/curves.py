"""Draws loss and error by epoch, with the rates below and marks where they change."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from alexrep.config.recipe import Recipe
from alexrep.errors import mismatch
from alexrep.runs.contents import NothingToShow, read_history, read_recipe
from alexrep.runs.history import History, best, number, thin

from . import panels, rates, style

RING: dict[str, Any] = {"ms": 10, "mfc": "none", "mec": style.INK, "mew": 1.2}
"""Style of the ring around the best epoch."""
MAX_DOTS = 40
"""Most epochs that are each marked with a dot."""


def draw(run: Path, out: Path) -> None:
    """Draw the curves of `run` into the PNG file `out`.

    Raises:
        DataError: If the log or the recipe is damaged.
        NothingToShow: If one of them is missing, or the log is empty.
    """
    history = read_history(run)
    if not history.epochs and not history.step_at.size:
        what = run / "log.jsonl", "steps or epochs", "none yet", "run alexrep train"
        raise NothingToShow(mismatch(*what))
    recipe = read_recipe(run)
    with style.canvas(out, panels.WIDTH, panels.HEIGHT) as figure:
        style.title(figure, f"{recipe.name}: loss and error", summary(history, recipe))
        loss, error, rate = panels.stack(figure)
        _loss(loss, history)
        _error(error, history)
        rates.draw_rates(rate, history)
        panels.mark((loss, error, rate), rates.marked(history))
        _epochs(rate, history)


def summary(history: History, recipe: Recipe) -> str:
    """Return the subtitle: how far the run has come, and its best epoch."""
    progress = f"{history.num_finished} of {recipe.schedule.epochs} epochs"
    row = best(history)
    if row is None:
        return f"{progress}, no val error yet"
    top1, top5 = (100 * number(row, key) for key in ("val_top1_error", "val_top5_error"))
    errors = f"val top-1 error {top1:.2f} %, top-5 {top5:.2f} %"
    return f"{progress}; best at epoch {row['epoch']}: {errors}"


def _epochs(lowest: Axes, history: History) -> None:
    """Scale and label the epoch axis that the panels share."""
    end = history.end or 1.0
    lowest.set_xlim(-0.012 * end, 1.012 * end)
    lowest.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    lowest.set_xlabel("epoch" if history.in_epochs or not history.step_at.size else "step")


def _loss(axes: Axes, history: History) -> None:
    epochs, low, high = thin(history.step_at, history.step_loss)
    if len(epochs) < len(history.step_at):
        num = len(history.step_at) / len(epochs)
        label = f"training, lowest to highest of {num:.0f} logged steps"
        axes.fill_between(epochs, low, high, color=style.BLUE, alpha=0.22, lw=0, label=label)
    elif len(epochs):
        label = "training, each logged step"
        axes.plot(epochs, low, color=style.BLUE, alpha=0.35, lw=0.7, label=label)
    _curve(axes, history, "train_loss", "training, mean of the epoch", style.BLUE)
    _curve(axes, history, "val_loss", "val", style.VERMILLION)
    _finish(axes, "loss")


def _error(axes: Axes, history: History) -> None:
    _curve(axes, history, "train_error", "training top-1", style.BLUE, 100)
    _curve(axes, history, "val_top1_error", "val top-1", style.VERMILLION, 100)
    _curve(axes, history, "val_top5_error", "val top-5", style.ORANGE, 100, "--")
    row = best(history)
    if row is not None:
        x, y = number(row, "epoch"), 100 * number(row, "val_top1_error")
        axes.plot([x], [y], "o", label="best epoch", clip_on=False, **RING)
    _finish(axes, "error (%)")


def _curve(
    axes: Axes,
    history: History,
    key: str,
    label: str,
    colour: str,
    factor: float = 1,
    line: str = "-",
) -> None:
    """Draw one column of the epoch rows, without the rows that lack it."""
    epochs, values = history.column("epoch"), history.column(key) * factor
    has_value = ~np.isnan(values)
    marker = "o" if has_value.sum() <= MAX_DOTS else ""
    if not has_value.any():
        return
    look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 3.5, "label": label}
    axes.plot(epochs[has_value], values[has_value], line, **look)


def _finish(axes: Axes, label: str) -> None:
    panels.name(axes, label)
    axes.set_ylim(0, max(1.03 * axes.get_ylim()[1], 1e-3))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    panels.legend(axes, axes.get_legend_handles_labels()[0])
