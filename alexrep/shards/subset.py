"""Subsets of a split: the images of some classes, with a class table of just these."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alexrep.errors import ConfigError, examples, mismatch
from alexrep.ilsvrc.classes import ClassTable
from alexrep.shards.labelled import AnyImages, LabelledImages


def limited(split: AnyImages, wnids: Sequence[str]) -> AnyImages:
    """Limit a split to some classes.

    Images keep their indices, so their random draws do not depend on the subset. Images of
    other classes get label -1, see `indices`. No quarantined images are counted, as shards do
    not record their classes.

    Args:
        split: A split whose labels are all known; the result shares its open files.
        wnids: Classes to keep, in any order; all if empty.

    Raises:
        ConfigError: If a class is not in the class table, or the split has no image of them.
    """
    if not wnids:
        return split
    table = split.classes
    unknown = sorted(set(wnids) - table.index_of_wnid.keys())
    if unknown:
        wanted = f"wnids of the {len(table)} classes of this data"
        advice = "alexrep classes lists them"
        raise ConfigError(mismatch("limits.classes", wanted, examples(unknown), advice))
    kept = [synset for synset in table.synsets if synset.wnid in set(wnids)]
    new = np.full(len(table), -1, np.int64)
    new[[synset.index for synset in kept]] = np.arange(len(kept))
    subset = copy.copy(split)
    subset.labels = new[split.labels]
    subset.classes = ClassTable(tuple(replace(s, index=index) for index, s in enumerate(kept)))
    subset.num_quarantined = 0
    if not len(indices(subset)):
        raise ConfigError(
            mismatch("limits.classes", f"{split.split} images", "none", "add classes")
        )
    return subset


def indices(split: LabelledImages) -> NDArray[np.int64]:
    """Return the indices of the images whose class is known, ascending, (N,)."""
    return np.flatnonzero(split.labels >= 0)
