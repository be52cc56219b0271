"""`alexrep classes`: the class table of the prepared images."""

import sys
from typing import Annotated

import typer

from .cli import options


def command(
    data: options.Data,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the classes as CSV: label, wnid, id in the devkit, words, training images.

    The label is the rank of the wnid among the sorted wnids; the ids are another order.

    \b
    Example: alexrep classes data
    """
    from alexrep.prepare import prepared, tables

    rows = tables.class_rows(prepared.open_prepared(data))
    if as_json:
        tables.write_json(rows, sys.stdout)
    else:
        tables.write_csv(tables.CLASS_COLUMNS, rows, sys.stdout)
