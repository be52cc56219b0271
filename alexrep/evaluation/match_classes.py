"""The images of a split that a run can be scored on: those of its classes."""

from pathlib import Path

import numpy as np

from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, examples, mismatch
from alexrep.evaluation.evaluate import require_labels
from alexrep.ilsvrc.classes import ClassTable
from alexrep.runs.trained import Trained
from alexrep.shards.read import Split
from alexrep.shards.subset import limited


def matched(split: Split, network: Trained, run: Path, data: Path) -> Split:
    """Return the split as the training of a network would validate on it.

    Args:
        split: A whole split of `data`; shares its open files with the result.
        network: The trained network.
        run: The run's folder, for messages.
        data: The data folder, for messages.

    Raises:
        DataError: If network and data have other classes or other sides, or labels are
            not known.
    """
    known, side = of_classes(split, network.recipe, network.classes, run, data), network.side
    if side != split.side:
        wanted = f"images of side {side}, as in training"
        raise DataError(mismatch(data, wanted, split.side, f"preprocess with --side {side}"))
    return known


def of_classes(split: Split, recipe: Recipe, table: ClassTable, run: Path, data: Path) -> Split:
    """Return a split's images of a run's classes, with labels in the order of its logits.

    That is all of the split, unless the recipe took some classes only: then the others are
    left out as `subset.limited` says, and those in quarantine with them, as in training.

    Args:
        split: A whole split of `data`; shares its open files with the result.
        recipe: The run's recipe.
        table: The run's classes.
        run: The run's folder, for messages.
        data: The data folder, for messages.

    Raises:
        DataError: If the data has other classes, or lacks one of them; if the split has no
            image of them, or labels are not known.
    """
    own, there = table.index_of_wnid, split.classes.index_of_wnid
    # An imported network has the classes of its data, whatever its recipe says.
    is_part = set(recipe.limits.classes) == own.keys()
    # The logits' order is that of the wnids; words and promised counts may differ.
    if not (own.keys() <= there.keys() if is_part else list(own) == list(there)):
        missing = sorted(own.keys() - there.keys())
        is_near = is_part and len(missing) < len(own)
        found = f"all but {examples(missing)}" if is_near else f"{len(there)} others"
        wanted = f"the {len(table)} classes that {run} was trained on"
        raise DataError(mismatch(data, wanted, found, "name the data it was trained on"))
    require_labels(split, np.arange(len(split)))
    if not is_part:
        return split
    if not np.isin(split.labels, [there[wnid] for wnid in own]).any():
        wanted = f"{split.shards[0].split} images of the classes that {run} was trained on"
        raise DataError(mismatch(data, wanted, "none", "choose another split"))
    return limited(split, recipe.limits.classes)
