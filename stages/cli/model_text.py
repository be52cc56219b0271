"""How the list of networks is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imports torch
    from alexrep.models.catalogue import Entry

FORM = "{:<30} {:>4} {:>7} {:>11} {:>9} {:>15} {:>9}  {:<28} {:>6} {:>6}  {}"
HEADER = FORM.format(
    *("network", "side", "classes", "parameters", "fixed", "multiply-adds", "published"),
    *("source", "top-1", "top-5", "errors of"),
)
"""Headings; `published` are the publisher's multiply-adds, in thousand millions."""


def described(entry: Entry) -> dict[str, Any]:
    """Return what a network is, and count what it holds and does."""
    cost = entry.cost()
    return {
        "name": entry.name,
        "side": entry.model.side,
        "classes": entry.num_classes,
        "parameters": cost.parameters,
        "fixed": cost.fixed,
        "multiply_adds": cost.multiply_adds,
        "published_multiply_adds": entry.published_multiply_adds,
        "source": entry.source,
        "published_top1_error": entry.top1_error,
        "published_top5_error": entry.top5_error,
        "publisher": entry.publisher,
    }


def line(row: dict[str, Any]) -> str:
    """Return a network's line below `HEADER`."""
    published = row["published_multiply_adds"]
    errors = (row[f"published_top{top}_error"] for top in (1, 5))
    return FORM.format(
        *(row[key] for key in ("name", "side", "classes")),
        *(f"{row[key]:,}" for key in ("parameters", "fixed", "multiply_adds")),
        "" if published is None else f"{published / 1e9:.3f} G",
        row["source"],
        *("" if error is None else f"{100 * error:.2f}" for error in errors),
        row["publisher"],
    ).rstrip()
