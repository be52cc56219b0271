"""What docs/log.md says of a log's rows, and rows held to it."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from alexrep.runs import log

PAGE = Path(__file__).parent.parent / "docs/log.md"
OPTIONAL = {"val_top1_error_ema"}
"""Keys of the page that not every row of their kind has."""


@functools.cache
def schema() -> dict[str, dict[str, str]]:
    """Return the kind of value of each key, by the kind of row, as docs/log.md has it."""
    page = PAGE.read_text(encoding="utf-8")
    parts = re.findall(r"^## `(\w+)`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    row = re.compile(r"^\| `(\w+)` \| ([\w ]+) \|", re.MULTILINE)
    return {kind: {"kind": "text"} | dict(row.findall(text)) for kind, text in parts}


def is_of_kind(value: object, kinds: str) -> bool:
    types = {
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "text": (str,),
        "null": (type(None),),
    }
    return any(type(value) in types[kind] for kind in kinds.split(" or "))


def require_schema(rows: Sequence[log.Row]) -> None:
    """Hold rows to the tables of docs/log.md: their keys, and the kinds of their values."""
    for row in rows:
        known = schema()[str(row["kind"])]
        assert known.keys() - row.keys() <= OPTIONAL
        for key, value in row.items():
            assert is_of_kind(value, known[key]), (key, value)
