"""The log of a run as a table: a row for each finished epoch."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from alexrep import files
from alexrep.runs import listing
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row

NAME = "log.csv"


def write(folder: RunFolder, check: Callable[[], None] = files.nothing) -> Path:
    """Write RUN/log.csv from the log, whole or not at all, so that the two always agree.

    Columns are the fields of the rows in their order; what a row lacks is empty.

    Args:
        folder: The run's folder.
        check: As for `files.whole`.

    Raises:
        DataError: If the folder is not a run's, or its log is damaged.
    """
    folder.read_recipe()
    rows = listing.epoch_rows(folder)
    path = folder.path / NAME
    files.write_bytes(path, text(rows).encode(), check)
    return path


def text(rows: list[Row]) -> str:
    """Return rows of a log as CSV with a header; null is an empty field."""
    columns = dict.fromkeys(key for row in rows for key in row if key != "kind")
    out = io.StringIO()
    table = csv.DictWriter(out, list(columns), extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()
