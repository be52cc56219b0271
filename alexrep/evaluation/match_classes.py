"""The images of a split that a run can be scored on: those of its classes."""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, examples, mismatch
from alexrep.evaluation.evaluate import require_labels
from alexrep.ilsvrc.classes import ClassTable
from alexrep.runs.trained import Trained
from alexrep.shards import subset
from alexrep.shards.labelled import AnyImages, LabelledImages
from alexrep.shards.read import Split


@dataclass(frozen=True)
class Matched:
    """What of a split is scored, and which classes compete for it."""

    split: LabelledImages
    """The split with the run's classes and labels in the order of its logits; -1: unknown, or
    of another class."""
    indices: NDArray[np.int64]
    """Indices of the images to score, ascending."""
    wnids: tuple[str, ...] = ()
    """The classes that compete, if those that both have were asked for."""


def matched(
    split: Split, network: Trained, run: Path, data: Path, is_shared: bool = False
) -> Matched:
    """Return what the training of a network would validate on, of a split.

    Args:
        split: A whole split of `data`; shares its open files with the result.
        network: The trained network.
        run: The run's folder, for messages.
        data: The data folder, for messages.
        is_shared: Whether to take the classes that both have; see `sharing`.

    Raises:
        DataError: If network and data have other classes or other sides, or some labels are
            not known and others are.
    """
    known = by_classes(split, network, run, data, is_shared)
    if network.side != split.side:
        wanted, advice = f"images of side {network.side}, as in training", "preprocess with --side"
        raise DataError(mismatch(data, wanted, split.side, f"{advice} {network.side}"))
    return known


def by_classes(
    split: LabelledImages, network: Trained, run: Path, data: Path, is_shared: bool
) -> Matched:
    """Return the same of images of any side, as originals are; see `matched`."""
    if is_shared:
        return sharing(split, network.classes, run, data)
    return of_classes(split, network.recipe, network.classes, run, data)


def of_classes(
    split: LabelledImages, recipe: Recipe, table: ClassTable, run: Path, data: Path
) -> Matched:
    """Match a split with a run that was trained on all of its classes, or on some of them.

    The images are all of the split, unless the recipe took some classes only: then the others
    are left out as `subset.limited` says, and those in quarantine with them, as in training.
    Where no label is known, as in a test split whose labels are not public, all are taken.

    Args:
        split: A whole split of `data`; shares its open files with the result.
        recipe: The run's recipe.
        table: The run's classes.
        run: The run's folder, for messages.
        data: The data folder, for messages.

    Raises:
        DataError: If the data has other classes, or lacks one of them; if the split has no
            image of them, or some labels are not known and others are.
    """
    own, there = table.index_of_wnid, split.classes.index_of_wnid
    # An imported network has the classes of its data, whatever its recipe says.
    is_part = set(recipe.limits.classes) == own.keys()
    # The logits' order is that of the wnids; words and promised counts may differ.
    if not (own.keys() <= there.keys() if is_part else list(own) == list(there)):
        missing = sorted(own.keys() - there.keys())
        is_near = is_part and len(missing) < len(own)
        found = f"all but {examples(missing)}" if is_near else f"{len(there)} others"
        advice = "name the data it was trained on"
        if own.keys() & there.keys():
            advice += ", or take the classes that both have with --subset"
        raise DataError(mismatch(data, _classes_of(run, table), found, advice))
    everything = np.arange(len(split))
    if (split.labels < 0).all():
        return Matched(_with(split, table, split.labels), everything)
    require_labels(split, everything)
    if not is_part:
        return Matched(split, everything)
    if not np.isin(split.labels, [there[wnid] for wnid in own]).any():
        raise _no_image(split, run, data)
    limited = subset.limited(split, recipe.limits.classes)
    return Matched(limited, subset.indices(limited))


def sharing(split: LabelledImages, table: ClassTable, run: Path, data: Path) -> Matched:
    """Match a split with a run by the classes that both have; only these compete.

    As for sets with fewer classes, such as ImageNet-A and -R. Folders that are named by numbers
    alone, as ImageNet-V2's, are taken for indices of the run's classes. Images in quarantine
    count where all classes of the data are the run's, as shards do not record theirs.

    Args:
        split: A whole split of `data`; shares its open files with the result.
        table: The run's classes.
        run: The run's folder, for messages.
        data: The data folder, for messages.

    Raises:
        DataError: If there is no such class or no image of one, or some labels are not known.
    """
    own, new = table.index_of_wnid, _indices(split.classes, table)
    if not (new >= 0).any():
        found, advice = f"{len(split.classes)} others", "name data that has some of them"
        raise DataError(mismatch(data, f"some of {_classes_of(run, table)}", found, advice))
    require_labels(split, np.arange(len(split)))
    shared = _with(split, table, new[split.labels])
    if (new < 0).any():
        shared.num_quarantined = 0
    indices = subset.indices(shared)
    if not len(indices):
        raise _no_image(split, run, data)
    competing = set(new.tolist())
    return Matched(shared, indices, tuple(wnid for wnid in own if own[wnid] in competing))


def _indices(classes: ClassTable, table: ClassTable) -> NDArray[np.int64]:
    """Return the run's index of each of the data's classes; -1 where it has none."""
    names = [synset.wnid for synset in classes.synsets]
    index_of_name = table.index_of_wnid
    if all(name.isdecimal() for name in names) and not index_of_name.keys() & set(names):
        index_of_name = {name: int(name) for name in names if int(name) < len(table)}
    return np.array([index_of_name.get(name, -1) for name in names])


def _with(split: AnyImages, table: ClassTable, labels: NDArray[np.int64]) -> AnyImages:
    """Return a split with other classes and labels; shares its open files with it."""
    other = copy.copy(split)
    other.classes, other.labels = table, labels
    return other


def _classes_of(run: Path, table: ClassTable) -> str:
    return f"the {len(table)} classes that {run} was trained on"


def _no_image(split: LabelledImages, run: Path, data: Path) -> DataError:
    wanted = f"{split.split} images of the classes that {run} was trained on"
    return DataError(mismatch(data, wanted, "none", "choose another split"))
