"""The published errors that a run's curves may be held against.

Source: the paper's tables, see `report.paper`; notes of the released source; cuda-convnet's
CIFAR-10 nets.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import AlexrepError
from alexrep.runs.contents import read_classes, read_recipe

from .report.paper import TABLES


@dataclass(frozen=True)
class Level:
    """A published pair of errors, in percent."""

    text: str
    """Who, and by which views."""
    top1: float
    top5: float | None = None


SIBLING = Level("run 170, centre", 42.3, 19.6)
"""Run 170 of the released source on ILSVRC-2012: the paper has no centre error for it, and this
run had the same ten-crop errors within 0.2 points."""
CIFAR = {
    "cifar10-80sec": Level("cuda-convnet", 26.0),
    "cifar10-18pct": Level("cuda-convnet", 18.0),
    "cifar10-13pct": Level("cuda-convnet", 13.0),
    "cifar10-11pct": Level("cuda-convnet", 11.0),
}
"""By network, on CIFAR-10's test images."""
NUM_CLASSES = {"alexnet": 1000}
"""Classes that a network must have to be comparable; CIFAR-10's have 10."""


def of(run: Path) -> tuple[Level, ...]:
    """Return the published errors for what a run was trained on; none for other classes."""
    try:
        recipe, num_classes = read_recipe(run), len(read_classes(run))
    except AlexrepError:
        return ()
    if num_classes != NUM_CLASSES.get(recipe.model.name, 10):
        return ()
    if recipe.model.name in CIFAR:
        return (CIFAR[recipe.model.name],)
    edition = re.search(r"ILSVRC-?(2010|2012)", f"{recipe.expected} {recipe.source}")
    return _of_ilsvrc(edition[1]) if edition else ()


def _of_ilsvrc(year: str) -> tuple[Level, ...]:
    """Return the errors of one network in the paper's table of an edition."""
    rows = next(table.rows for table in TABLES if table.edition == f"ilsvrc{year}")
    levels = [
        Level(f"paper, {row.views}", row.top1, row.top5)
        for row in rows
        if row.views and row.num_networks == 1 and row.top1 is not None
    ]
    return (*levels, SIBLING) if year == "2012" else tuple(levels)
