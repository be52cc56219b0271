"""`alexrep images`: every prepared image with its label and its verdict."""

import sys
from typing import Annotated

import typer

from .cli import choices, options


def command(
    data: options.Data,
    split: choices.Splits = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print every image as CSV: name, split, label, class, verdict and why, size, sha256.

    Images in quarantine are listed too. Width and height are those as distributed; the
    sha256 is that of the prepared JPEG. A label that is not public is -1.

    \b
    Example: alexrep images data --split val
    """
    from alexrep.errors import DataError, mismatch
    from alexrep.ilsvrc.editions import SPLITS
    from alexrep.prepare import prepared, tables

    if split is not None:
        options.require("--split", split, SPLITS)
    images = prepared.open_prepared(data)
    if split is not None and split not in images.splits:
        splits, advice = " and ".join(images.splits), "choose one of them"
        raise DataError(mismatch(data, f"{split} images", f"{splits} only", advice))
    rows = tables.image_rows(images, [split] if split else images.splits)
    if as_json:
        tables.write_json(rows, sys.stdout)
    else:
        tables.write_csv(tables.IMAGE_COLUMNS, rows, sys.stdout)
