"""The tree of synsets in a devkit, and the classes that a word names: one, or all below a node."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexrep.errors import DataError, mismatch, suggestion
from alexrep.ilsvrc import devkit

WNID = re.compile("n[0-9]{8}")
"""A name of WordNet's synsets, as the classes of ILSVRC have."""


@dataclass(frozen=True)
class Tree:
    """All synsets of a devkit, inner nodes too; a synset may lie below several others."""

    words: Mapping[str, str]
    """Words of each synset, by wnid."""
    children: Mapping[str, tuple[str, ...]]
    """Wnids right below each inner node."""

    def leaves(self, wnid: str) -> frozenset[str]:
        """Return the wnids of all classes below a node; of a class, itself."""
        seen: set[str] = set()
        pending = [wnid]
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                pending += self.children.get(node, ())
        return frozenset(node for node in seen if node not in self.children)


def read(where: Path) -> Tree:
    """Read the tree from meta.mat.

    Args:
        where: The devkit's tar, or the folder that it was unpacked to.

    Raises:
        DataError: If the devkit is missing or broken.
    """
    synsets = devkit.read_synsets(where)
    id_field = next((name for name in synsets.dtype.names or () if name.endswith("_ID")), "")
    try:
        wnid_of_id = {int(row[id_field]): str(row["WNID"]) for row in synsets}
        words = {str(row["WNID"]): str(row["words"]) for row in synsets}
        children = {
            str(row["WNID"]): tuple(
                wnid_of_id[int(child)]
                for child in np.atleast_1d(row["children"])[: int(row["num_children"])]
            )
            for row in synsets
            if int(row["num_children"]) > 0
        }
    except (KeyError, TypeError, ValueError) as error:
        wanted = "id, WNID, words, num_children and children of each synset"
        message = mismatch(where, wanted, repr(error), "download the devkit again")
        raise DataError(message) from None
    return Tree(words, children)


@dataclass(frozen=True)
class Names:
    """Finds the classes that a word names."""

    known: Mapping[str, int]
    """Class index by wnid."""
    find_tree: Callable[[], Tree | None]

    def resolve(self, word: str, where: object) -> list[str]:
        """Return the wnid itself, or those of the data below an inner node.

        Raises:
            DataError: If it is not known, or the data has none below it.
        """
        if word in self.known:
            return [word]
        tree = self.find_tree() if WNID.fullmatch(word) else None
        if tree is not None and word in tree.children:
            wnids = sorted(tree.leaves(word) & self.known.keys())
            if not wnids:
                wanted = f"classes of the data below {word}"
                raise DataError(mismatch(where, wanted, "none", "leave it out"))
            return wnids
        names = list(self.known)
        advice = suggestion(word, names) or f"one of them is {names[0]}"
        raise DataError(mismatch(where, "a class of the data", repr(word), advice))
