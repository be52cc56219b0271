"""Reads the CSV logs of other programs, and our own log.csv, as the rows of a log.

Columns are known by the words of their names, as in `val_acc`, `validation_loss`, `LearningRate`,
`top_5_accuracy` or `eval_top1`: of Keras's CSVLogger, Lightning's, timm's, Caffe's parse_log and
whoever names them alike. Accuracies become errors.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.runs.log import Row

VAL = {"val", "valid", "validation", "eval", "test"}
TRAIN = {"train", "training"}
ACCURACY = {"acc", "accuracy", "prec", "precision", "top"}
ERROR = {"err", "error"}
FILLING = {"epoch", "avg", "mean", "categorical", "sparse", "rate", "at"}
"""Words that change nothing."""
WHOLE = {
    "epoch": "epoch",
    "step": "step",
    "global step": "step",
    "iter": "step",
    "iters": "step",
    "iteration": "step",
    "num iters": "step",
    "lr": "weights_rate",
    "learning rate": "weights_rate",
    "weights rate": "weights_rate",
    "biases rate": "biases_rate",
    "seconds": "seconds",
    "images per s": "images_per_s",
    "feed wait share": "feed_wait_share",
}
"""Fields of a log's row, by the whole name of a column."""


@dataclass(frozen=True)
class CsvLog:
    """A log that was read."""

    rows: list[Row]
    """Its epochs, as in a log of ours; a number that is missing or not finite is None."""
    remarks: list[str]
    """What was not understood, or had to be guessed."""


def read(path: Path) -> CsvLog:
    """Read a CSV log.

    Columns without "train" or "val" in their names are of training, but of val in Caffe's
    `NAME.test`. Accuracies with a value over 1 are percent. Where the first epoch is 0 and has
    trained, epochs are counted from 0, and are shifted by one. Rows of the same epoch are one.

    Args:
        path: The file; comma, semicolon or tab between the columns.

    Raises:
        DataError: If it is no table with a loss or an error.
    """
    table = _table(path)
    of_val = bool(VAL & set(path.name.lower().split(".")[1:]))
    fields = {name: _field(name, of_val) for name in table}
    columns: dict[str, list[float]] = {}
    for name, field in fields.items():
        if field is not None:
            columns.setdefault(field.removesuffix(" accuracy"), _numbers(table[name], field))
    if not any("loss" in key or "error" in key for key in columns):
        found = ", ".join(table) or "no columns"
        advice = "name the columns as in epoch, train_loss, val_loss, val_accuracy, lr"
        raise DataError(mismatch(path, "columns with losses, errors or accuracies", found, advice))
    unknown = [name for name, field in fields.items() if field is None]
    remarks = [f"columns not understood, and not drawn: {', '.join(unknown)}"] if unknown else []
    if "epoch" not in columns and "step" not in columns:
        remarks.append("no column of epochs or steps: a row is an epoch")
        columns["epoch"] = [float(number + 1) for number in range(len(table[next(iter(table))]))]
    if _counts_from_0(columns):
        remarks.append("epochs counted from 0: drawn from 1")
        columns["epoch"] = [epoch + 1 for epoch in columns["epoch"]]
    return CsvLog(_rows(columns), remarks)


def _table(path: Path) -> dict[str, list[str]]:
    """Return the cells of each column by its name."""
    try:
        text = files.read_text(path, "utf-8-sig")
        separator = max(",;\t", key=text.split("\n", 1)[0].count)
        lines = csv.reader(text.splitlines(), delimiter=separator)
        header, *rows = [row for row in lines if row]
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        advice = "name a run, or a CSV file with a header"
        raise DataError(mismatch(path, "a CSV log", f"no table ({error})", advice)) from None
    # A program that is still writing leaves its last line unfinished.
    whole = [row for row in rows if len(row) == len(header)]
    return {name.strip(): [row[index] for row in whole] for index, name in enumerate(header)}


def _field(column: str, of_val: bool) -> str | None:
    """Return the field of a log's row that a column holds, with " accuracy" behind if it is one."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)", " ", column)
    words = re.split(r"[^a-z0-9]+", spaced.lower().strip())
    if (whole := WHOLE.get(" ".join(words))) is not None:
        return whole
    rest = set(words) - VAL - TRAIN - FILLING
    side = "val" if (VAL & set(words)) or (of_val and not TRAIN & set(words)) else "train"
    if rest == {"loss"}:
        return f"{side}_loss"
    kind = " accuracy" if rest & ACCURACY and not rest & ERROR else ""
    top = "5" if rest & {"5", "k"} else "1"
    if not rest & (ACCURACY | ERROR) or rest - ACCURACY - ERROR - {"1", "5", "k"}:
        return None
    known = {"val1": "val_top1_error", "val5": "val_top5_error", "train1": "train_error"}
    return known.get(side + top, "train_top5_error") + kind


def _numbers(cells: Sequence[str], field: str) -> list[float]:
    """Return the numbers of a column, errors as fractions; NaN where there is none."""
    numbers = [_number(cell) for cell in cells]
    if "error" in field:
        is_percent = any(number > 1.0 for number in numbers)
        numbers = [number / 100 if is_percent else number for number in numbers]
    return [1 - number for number in numbers] if field.endswith(" accuracy") else numbers


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _counts_from_0(columns: dict[str, list[float]]) -> bool:
    """Tell whether the first epoch is 0 and has trained."""
    if columns.get("epoch", [1.0])[:1] != [0.0]:
        return False
    train = [values[0] for name, values in columns.items() if name.startswith("train")]
    return any(math.isfinite(value) for value in train) or not train


def _rows(columns: dict[str, list[float]]) -> list[Row]:
    """Return the rows, those of the same epoch as one, with the last value of each column."""
    by_place: dict[float, Row] = {}
    key = "epoch" if "epoch" in columns else "step"
    for number, place in enumerate(columns[key]):
        if math.isfinite(place):
            row = by_place.setdefault(place, {"kind": "epoch"})
            cells = {name: values[number] for name, values in columns.items()}
            row |= {name: value for name, value in cells.items() if math.isfinite(value)}
    return [by_place[place] for place in sorted(by_place)]
