"""Less than a whole split: the images of some classes, with a class table of their own."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alexrep.errors import ConfigError, examples, mismatch
from alexrep.ilsvrc.classes import ClassTable
from alexrep.shards.read import Split


def limited(split: Split, wnids: Sequence[str]) -> Split:
    """Return the split as if its other classes were not known.

    Images keep their indices, so that all that is drawn for them stays what it is among all
    classes. Those of other classes have label -1, see `indices`. Quarantined images leave the
    count: shards do not tell their classes.

    Args:
        split: A split whose labels are all known; shares its open files with the result.
        wnids: Classes to keep, in any order; none: all.

    Raises:
        ConfigError: If one is not in the class table, or none of the images is of them.
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
    found = copy.copy(split)
    found.labels = new[split.labels]
    found.classes = ClassTable(tuple(replace(one, index=n) for n, one in enumerate(kept)))
    found.num_quarantined = 0
    if not len(indices(found)):
        name = split.shards[0].split
        raise ConfigError(mismatch("limits.classes", f"{name} images", "none", "add classes"))
    return found


def indices(split: Split) -> NDArray[np.int64]:
    """Return the indices of the images whose class is known, in the order of the shards."""
    return np.flatnonzero(split.labels >= 0)
