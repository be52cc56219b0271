"""The layers of a network as a table: lines of text, or a JSON document."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from alexrep import files
from alexrep.models.count import Cost, LayerRow, layers, total

HEADER = ("layer", "output", "parameters", "multiply-adds", "activation bytes")
FIXED = "fixed"
"""Heading of the numbers that are not trained, in networks that have some."""


def save(
    path: Path,
    network: nn.Module,
    side: int,
    check: Callable[[], None] = files.nothing,
) -> None:
    """Write the table of `network` to `path` as JSON, whole or not at all.

    Args:
        path: RUN/layers.json.
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.
        check: As for `files.whole`.
    """
    files.write_json(path, document(layers(network, side)), check)


def document(rows: Sequence[LayerRow]) -> dict[str, Any]:
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


def text(rows: Sequence[LayerRow]) -> str:
    """Return the table as lines: a row for each layer, and the total."""
    everything = _total(rows)
    table = [
        (row.name, " x ".join(map(str, row.shape)), *_amounts(row.cost, row.activation_bytes))
        for row in rows
    ]
    last = ("total", "", *_amounts(everything, sum(row.activation_bytes for row in rows)))
    width = max(10, *(len(row.name) + 1 for row in rows))
    lines = [_line(cells, width) for cells in (HEADER, *table, last)]
    if everything.fixed:
        fixed = [FIXED, *(f"{row.cost.fixed:,}" for row in rows), f"{everything.fixed:,}"]
        lines = [f"{line}{number:>10}" for line, number in zip(lines, fixed, strict=True)]
    return "\n".join(lines)


def _total(rows: Sequence[LayerRow]) -> Cost:
    return total({row.name: row.cost for row in rows})


def _numbers(cost: Cost) -> dict[str, int]:
    return {
        "weights": cost.weights,
        "biases": cost.biases,
        "parameters": cost.parameters,
        "fixed": cost.fixed,
        "multiply_adds": cost.multiply_adds,
    }


def _amounts(cost: Cost, num_bytes: int) -> tuple[str, str, str]:
    return f"{cost.parameters:,}", f"{cost.multiply_adds:,}", f"{num_bytes:,}"


def _line(cells: Sequence[str], width: int) -> str:
    name, shape, *numbers = cells
    return f"{name:<{width}}{shape:<16}" + "".join(f"{number:>18}" for number in numbers)
