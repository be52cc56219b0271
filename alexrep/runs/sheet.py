"""Runs as rows of a table: what each is, its settings, and its scores."""

import csv
from collections.abc import Iterable
from dataclasses import asdict
from typing import TextIO

from pydantic import JsonValue

from alexrep.config import recipes
from alexrep.config.tables import shown
from alexrep.errors import AlexrepError
from alexrep.runs import listing, results
from alexrep.runs.folder import RunFolder

Row = dict[str, JsonValue]


def row(folder: RunFolder) -> Row:
    """Return a run's line of `listing`, its results and the fields of its recipe.

    Errors are fractions. A damaged run has its line only, which says what is wrong.
    """
    found: Row = asdict(listing.overview(folder))
    try:
        for name, result in results.read_all(folder.path).items():
            found |= {f"{name} top{k}_error": getattr(result, f"top{k}_error") for k in (1, 5)}
        fields = recipes.fields(folder.read_recipe())
    except AlexrepError as error:
        return found | {"state": f"unreadable: {error}"}
    texts = {key: value if _is_plain(value) else shown(value) for key, value in fields.items()}
    return found | texts


def write(folders: Iterable[RunFolder], out: TextIO) -> None:
    """Write the rows of runs as CSV; a column that a run does not have is empty in its row."""
    rows = [row(folder) for folder in folders]
    columns = dict.fromkeys(key for each in rows for key in each)
    table = csv.DictWriter(out, list(columns), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
