"""The page's tables of errors: the paper's with the runs beside them, and every result."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexrep.evaluation import confusion
from alexrep.runs import contents
from alexrep.runs.results import Result

from .contents import RunContents
from .paper import TABLES, Published, Table

Cells = dict[str, Any]
"""What a row of a table shows, by the names that the template uses."""


def tables(runs: Sequence[RunContents]) -> list[Cells]:
    """Return the paper's tables, each with the results that are on its images."""
    return [_table(table, runs) for table in TABLES]


def _table(table: Table, runs: Sequence[RunContents]) -> Cells:
    own = [
        _beside(table, run, number, result)
        for number, run in enumerate(runs, start=1)
        for result in run.results.values()
        if table.holds(result, run.edition)
    ]
    rows = [*(_published(row) for row in table.rows), *own]
    return {"number": table.number, "images": table.images, "rows": rows, "has_own": bool(own)}


def _published(row: Published) -> Cells:
    errors = {name: _percent(getattr(row, name)) for name in ("top1", "top5", "top5_test")}
    return {"model": row.model, "link": None, "is_own": False, **errors}


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _beside(table: Table, run: RunContents, number: int, result: Result) -> Cells:
    row = table.row_for(result.views, len(result.members) or 1)
    return {
        "model": f"{_network(run, result)}, {result.views}",
        "link": f"run-{number}",
        "is_own": True,
        "top1": _with_difference(result.top1_error, row.top1 if row else None),
        "top5": _with_difference(result.top5_error, row.top5 if row else None),
        "top5_test": "",
    }


def _network(run: RunContents, result: Result) -> str:
    """Name what was scored: a checkpoint, or several runs averaged."""
    if not result.members:
        return f"{run.name}, {result.checkpoint}"
    fitted = f", weights fitted on {result.fitted_on}" if result.fitted_on else ""
    return f"{len(result.members)} runs averaged{fitted}"


def _with_difference(error: float | None, published: float | None) -> str:
    if error is None:
        return ""
    if published is None:
        return f"{100 * error:.2f}"
    return f"{100 * error:.2f} ({100 * error - published:+.2f})"


def result_rows(runs: Sequence[RunContents]) -> list[Cells]:
    """Return a row for each result of each run."""
    return list(_result_rows(runs))


def _result_rows(runs: Sequence[RunContents]) -> Iterator[Cells]:
    for number, run in enumerate(runs, start=1):
        for result in run.results.values():
            images = "original images" if result.original else ""
            yield {
                "link": f"run-{number}",
                "split": ", ".join(filter(None, [result.split, images, result.labels])),
                "views": result.views,
                "network": _network(run, result),
                "images": f"{result.num_images:,}",
                "top1": _with_interval(result, 1),
                "top5": _with_interval(result, 5),
                "loss": "" if result.loss is None else f"{result.loss:.4f}",
                "ece": "" if result.ece is None else f"{100 * result.ece:.2f}",
            }


def _with_interval(result: Result, rank: int) -> str:
    error = getattr(result, f"top{rank}_error")
    if error is None:
        return ""
    text = f"{100 * error:.2f}"
    interval = getattr(result, f"top{rank}_interval")
    if interval is None:
        return text
    low, high = interval
    return f"{text} ({100 * low:.2f} to {100 * high:.2f})"


MOST_TAKEN_FOR = 3
"""Classes that each class is most often taken for, at most."""


def classes(run: RunContents) -> Cells:
    """Return a row for each class that has images, the hardest first.

    Raises:
        DataError: If there is no result, or it is damaged.
    """
    scored, names = contents.read_scored(run.path), contents.read_classes(run.path)
    result, predictions = scored.result, scored.predictions
    counts = confusion.matrix(predictions, len(names))
    of_classes = confusion.of_classes(predictions, len(names))
    rows = [
        {
            "name": names[label],
            "images": f"{of_classes.counts[label]:,}",
            "top1": f"{100 * of_classes.top1_error[label]:.1f}",
            "top5": f"{100 * of_classes.top5_error[label]:.1f}",
            "taken_for": _taken_for(counts[label], label, names),
        }
        for label in of_classes.hardest()
    ]
    return {"of": f"{result.split}, {result.views}, {_network(run, result)}", "rows": rows}


def _taken_for(counts: NDArray[np.int64], label: int, names: list[str]) -> str:
    """Name the classes that the images of a class are most often taken for, with their number."""
    others = [other for other in np.argsort(-counts, kind="stable").tolist() if other != label]
    shown = [
        f"{names[other]} {counts[other]}" for other in others[:MOST_TAKEN_FOR] if counts[other]
    ]
    return ", ".join(shown)
