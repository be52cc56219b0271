"""How the commands about runs print: columns of text, or one JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from .progress import counted, span, with_quarantined

if TYPE_CHECKING:
    from pathlib import Path

    from alexrep.config.recipe import Recipe
    from alexrep.runs.description import Comparison, Description
    from alexrep.runs.listing import Overview
    from alexrep.training.rehearsal import Rehearsal

ROW = {
    "epoch": "epoch",
    "train_loss": "train loss",
    "train_error": "train error",
    "val_loss": "val loss",
    "val_top1_error": "top-1",
    "val_top5_error": "top-5",
    "weights_rate": "rate",
}
"""Fields of a log's row that are shown, and their headings."""


def say_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def say_overviews(overviews: Sequence[Overview]) -> None:
    """Print a line for each run below a line of headings."""
    rows = [["run", "recipe", "state", "epochs", "best top-1", "note"]]
    for run in overviews:
        state, _, fault = run.state.partition(": ")
        errors = percent(run.best_val_top1_error)
        rows.append([run.run, run.recipe or "", state, str(run.epochs), errors, run.note or ""])
        if fault:  # a column as wide as that would push the others away
            typer.echo(f"alexrep: {run.run}: {run.state}", err=True)
    say_columns(rows)


def say_description(run: Description) -> None:
    """Print what a run is, and what it has come to."""
    typer.echo(f"{run.run}: {run.recipe}, {run.state}")
    typer.echo(f"source: {run.source}")
    if run.unlike:
        typer.echo(f"expected of the recipe as it ships: {run.expected}")
        typer.echo(f"this run differs from it in: {', '.join(run.unlike)}")
    elif run.state != "finished":
        typer.echo(f"expected at the end: {run.expected}")
    elif run.expected:
        typer.echo(f"expected: {run.expected}")
    if run.time:
        typer.echo(f"time: {run.time}")
    if run.network:
        numbers = (run.network[key] for key in ("parameters", "multiply_adds"))
        typer.echo("network: {:,} parameters, {:,} multiply-adds an image".format(*numbers))
    _say_departures("departs from net 145", run.departures)
    _say_departures("images and program depart from 2012", run.other_departures)
    if run.rows:
        rows = [[shown(key, row.get(key)) for key in ROW] for row in run.rows]
        say_columns([list(ROW.values()), *rows])
    for name, result in run.results.items():
        errors = (percent(result.get(f"top{k}_error")) for k in (1, 5))
        typer.echo("{}: top-1 error {}, top-5 {}".format(name, *errors))
    for note in run.notes:
        typer.echo(f"note: {note}")


def say_comparison(comparison: Comparison) -> None:
    """Print what two runs differ in, and their errors side by side."""
    by_epoch = ("schedule.changes", "schedule.weights", "schedule.biases", "schedule.warmup")
    fields = [line for line in comparison.fields if not line.startswith(by_epoch)]
    typer.echo("\n".join([*fields, *comparison.rates]) or "equal recipes")
    first, second = comparison.departures
    if common := [line for line in first if line in second]:
        _say_departures("both depart from net 145", common)
    for run, lines in zip(comparison.runs, comparison.departures, strict=True):
        if own := [line for line in lines if line not in common]:
            _say_departures(f"{run} departs from net 145", own)
    if not first and not second:
        typer.echo("both depart from net 145: in nothing")
    if comparison.errors:
        rows = [
            [name, *(shown(name, error) for error in pair)]
            for name, pair in comparison.errors.items()
        ]
        say_columns([["", *comparison.runs], *rows])


def say_pruned(run: Path, sizes: dict[str, int], is_dry: bool) -> None:
    """Print the checkpoints that were removed, or would be, and their size."""
    said = "would be removed" if is_dry else "removed"
    for name, size in sizes.items():
        typer.echo(f"{name}: {size / 1e6:,.1f} MB, {said}")
    num = counted(len(sizes), "checkpoints")
    typer.echo(f"{run}: {num} {said}, {sum(sizes.values()) / 1e6:,.1f} MB")


def say_rehearsal(rehearsal: Rehearsal, recipe: Recipe, run: Path, num_processes: int) -> None:
    """Print what a training would do and take: the median step, and the range of them."""
    from alexrep.training import pieces

    measured, epochs = rehearsal.measured, recipe.schedule.epochs
    start, begins = recipe.start, "from nothing"
    if rehearsal.step:
        begins = f"from epoch {rehearsal.epoch}, step {rehearsal.step}"
    elif start is not None and start.weights:
        begins = f"from the weights of {start.weights}"
    typer.echo(f"begins: {begins}")
    if start is not None and start.frozen:
        typer.echo(f"not trained: {', '.join(start.frozen)}")
    batch = pieces.describe(recipe.feed.batch_size, num_processes, recipe.compute.accumulate)
    typer.echo(f"recipe: {recipe.name}, batches of {batch}, rate of weights {rehearsal.rate:g}")
    steps = rehearsal.steps_an_epoch
    num_steps = counted(int(str(measured["steps"])), "steps")
    typer.echo(
        f"train: {counted(rehearsal.num_images, 'images')} an epoch, {counted(steps, 'steps')}"
    )
    val = with_quarantined(rehearsal.num_val, rehearsal.num_quarantined, "images")
    typer.echo(f"val: {val}")
    typer.echo(f"kernels: {rehearsal.kernels}")
    typer.echo(f"loss: {measured['loss']:.4f} after {num_steps}")
    typer.echo(f"memory: {float(str(measured['memory_bytes'])) / 1e9:.2f} GB")
    if measured["seconds"] is not None:
        low, middle, high = (
            float(str(measured[key])) for key in ("seconds_least", "seconds", "seconds_most")
        )
        # A batch is smaller than the recipe's where the data has fewer images.
        size, length = rehearsal.num_images / steps, counted(epochs, "epochs")
        rates = f"{size / middle:,.1f} images/s ({size / high:,.1f} to {size / low:,.1f})"
        times = f"{span(low * steps * epochs)} to {span(high * steps * epochs)}"
        typer.echo(f"speed: {rates}; {length} without val: {times}")
    whole = rehearsal.table.get("step", 0.0)
    for name, time in rehearsal.table.items():
        typer.echo(f"{name}: {time:.2f} ms, {time / whole:.0%} of a step")
    others = " but the trace" if rehearsal.table else ""
    typer.echo(f"{run}: a dry run, nothing is written{others}")


def say_columns(rows: Sequence[Sequence[object]]) -> None:
    """Print rows with their columns aligned; None is empty."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def shown(name: str, value: object) -> str:
    """Return a number of a log as text: errors in percent, others in four digits."""
    if name.endswith("error"):
        return percent(value)
    return f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)


def percent(error: object) -> str:
    """Return an error in percent; nothing if there is none."""
    return f"{100 * error:.2f} %" if isinstance(error, int | float) else ""


def _say_departures(title: str, lines: list[str]) -> None:
    typer.echo(f"{title}: {'in nothing' if not lines else ''}".rstrip())
    for line in lines:
        typer.echo(f"  {line}")
    if any(re.match(r"D\d ", line) for line in lines):
        typer.echo("  (D1 to D5, in which the paper's text differs: docs/fidelity.md)")
