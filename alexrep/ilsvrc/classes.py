"""The class table: index, wnid, devkit id and words of every class.

The class index is the rank of the wnid among the sorted wnids. The devkit's ids are in
another order; every conversion goes through this table. Wnids are unique, words are not
(two classes are called "crane").
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.files import read_text, sha256_bytes, to_json
from alexrep.ilsvrc import synsets
from alexrep.system import require_sound_disk


@dataclass(frozen=True)
class Synset:
    """One class."""

    index: int
    """Rank of the wnid among the sorted wnids, from 0; the label in training."""
    wnid: str
    """WordNet id, n and eight digits."""
    id: int
    """Id in the edition's devkit, from 1."""
    words: str
    """Names, separated by a comma and a space."""
    num_train_images: int
    """Number of training images according to the devkit."""

    @property
    def shown_words(self) -> str:
        """The words to show: of a folder that is named by a wnid, those of ILSVRC-2012's synset.

        They are looked up and never stored: shards and checkpoints know a table by its digest.
        """
        is_bare = self.words == self.wnid
        return synsets.words_of_wnid().get(self.wnid, self.words) if is_bare else self.words

    @property
    def short_name(self) -> str:
        """The first of the words to show."""
        return self.shown_words.split(", ")[0]


@dataclass(frozen=True)
class ClassTable:
    """All classes, in the order of their index."""

    synsets: tuple[Synset, ...]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.synsets)

    @property
    def index_of_wnid(self) -> dict[str, int]:
        """Class index by wnid."""
        return {synset.wnid: synset.index for synset in self.synsets}

    @property
    def index_of_id(self) -> dict[int, int]:
        """Class index by devkit id."""
        return {synset.id: synset.index for synset in self.synsets}

    def rows(self) -> list[dict[str, object]]:
        """Return the table as plain data."""
        return [asdict(synset) for synset in self.synsets]

    def digest(self) -> str:
        """Return the SHA-256 that identifies this table in shards and checkpoints."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        """The digest, made once: every shard is compared with it."""
        return sha256_bytes(to_json(self.rows()).encode())

    def short_names(self) -> list[str]:
        """Return the first name of each class, in index order."""
        return [synset.short_name for synset in self.synsets]


def of_leaves(leaves: Sequence[tuple[str, int, str, int]]) -> ClassTable:
    """Make the table from (wnid, id, words, number of training images), in any order.

    Raises:
        DataError: If a wnid or an id occurs twice, or a wnid cannot name a folder.
    """
    for position, what in ((0, "wnid"), (1, "id")):
        seen = [leaf[position] for leaf in leaves]
        twice = sorted({str(value) for value in seen if seen.count(value) > 1})
        if twice:
            raise DataError(
                mismatch("meta.mat", f"each {what} once", twice[0], "download the devkit again")
            )
    unsafe = next((leaf[0] for leaf in leaves if not is_path_part(leaf[0])), None)
    if unsafe is not None:
        wanted, advice = "wnids that can name a folder", "download the devkit again"
        raise DataError(mismatch("meta.mat", wanted, repr(unsafe), advice))
    ranked = sorted(leaves)
    return ClassTable(tuple(Synset(index, *leaf) for index, leaf in enumerate(ranked)))


def is_path_part(name: str) -> bool:
    """Tell whether a name is one part of a path, which leads nowhere else."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def of_rows(rows: list[dict[str, object]], where: object) -> ClassTable:
    """Make the table from plain data.

    Raises:
        DataError: If it is not a class table.
    """
    try:
        synsets = tuple(Synset(**row) for row in rows)  # type: ignore[arg-type]
    except TypeError as error:
        raise DataError(mismatch(where, "a class table", error, "run the stage again")) from None
    if not _is_table(synsets):
        found = "other values or another order"
        raise DataError(mismatch(where, "a class table", found, "run the stage again"))
    return ClassTable(synsets)


def _is_table(synsets: tuple[Synset, ...]) -> bool:
    """Tell whether plain data has the right types, and the order that labels refer to."""
    for index, synset in enumerate(synsets):
        texts, numbers = (synset.wnid, synset.words), (synset.id, synset.num_train_images)
        kinds = [isinstance(text, str) for text in texts] + [type(num) is int for num in numbers]
        if synset.index != index or not all(kinds) or not is_path_part(synset.wnid):
            return False
    wnids = [synset.wnid for synset in synsets]
    return bool(wnids) and wnids == sorted(set(wnids))


def read(path: Path) -> ClassTable:
    """Read classes.json.

    Raises:
        DataError: If it is missing or not a class table.
    """
    try:
        return of_rows(json.loads(read_text(path)), path)
    except (OSError, ValueError) as error:
        require_sound_disk(error, path)
        raise DataError(mismatch(path, "a class table", error, "run the stage again")) from None
