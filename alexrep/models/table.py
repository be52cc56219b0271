"""The table of a network's layers, to be read and to be kept beside a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from alexrep import files
from alexrep.models.count import Cost, Row, layers, total

HEADER = ("layer", "output", "parameters", "multiply-adds", "activation bytes")


def save(
    path: Path,
    network: nn.Module,
    side: int,
    before_rename: Callable[[], None] = files.nothing,
) -> None:
    """Write the table of `network` to `path` as JSON, whole or not at all.

    Args:
        path: RUN/layers.json.
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.
        before_rename: As for `files.whole`.
    """
    files.write_json(path, document(layers(network, side)), before_rename)


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the table as plain data: `layers`, and their `total`; all for one image."""
    table = [
        {
            "name": row.name,
            "output": list(row.shape),
            **_numbers(row.cost),
            "activation_bytes": row.activation_bytes,
        }
        for row in rows
    ]
    num_bytes = sum(row.activation_bytes for row in rows)
    return {"layers": table, "total": {**_numbers(_total(rows)), "activation_bytes": num_bytes}}


def text(rows: Sequence[Row]) -> str:
    """Return the table as lines: a row for each layer, and the total."""
    table = [
        (row.name, " x ".join(map(str, row.shape)), *_amounts(row.cost, row.activation_bytes))
        for row in rows
    ]
    last = ("total", "", *_amounts(_total(rows), sum(row.activation_bytes for row in rows)))
    return "\n".join(_line(cells) for cells in (HEADER, *table, last))


def _total(rows: Sequence[Row]) -> Cost:
    return total({row.name: row.cost for row in rows})


def _numbers(cost: Cost) -> dict[str, int]:
    return {
        "weights": cost.weights,
        "biases": cost.biases,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
    }


def _amounts(cost: Cost, num_bytes: int) -> tuple[str, str, str]:
    return f"{cost.parameters:,}", f"{cost.multiply_adds:,}", f"{num_bytes:,}"


def _line(cells: Sequence[str]) -> str:
    name, shape, *numbers = cells
    return f"{name:<10}{shape:<16}" + "".join(f"{number:>18}" for number in numbers)
