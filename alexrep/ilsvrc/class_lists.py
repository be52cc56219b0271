"""The classes of data that come without a devkit: of a list of wnids, or those of ILSVRC-2012."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import devkit, synsets
from alexrep.ilsvrc.classes import ClassTable, Synset
from alexrep.ilsvrc.editions import EDITIONS, FOLDER, Edition

TOP = ("ILSVRC", "Data", "CLS-LOC")
"""Folders between Kaggle's lists and its images."""


def choose(
    folder: Path, given: Path | None, words: Mapping[str, str]
) -> tuple[Edition, ClassTable]:
    """Return the classes of a folder of originals, and the edition that has them.

    They are those of a list that is given, else of a devkit in the folder, else of ILSVRC-2012
    if it has all that occur, else those that occur. Where ILSVRC-2012 has all of them, its whole
    table is taken, as for a part of its tars.

    Args:
        folder: The folder.
        given: A list of wnids, and words behind them.
        words: Wnids that occur, as far as they are known, and their words or "".

    Raises:
        DataError: If a list or a devkit is broken.
    """
    if given is not None:
        return of_words(read(given), given)
    for edition in EDITIONS.values():
        for top in tops(folder):
            if any((top / name).exists() for name in edition.devkits):
                return edition, devkit.read_classes(top, edition)
    return of_words(words, folder)


def tops(folder: Path) -> list[Path]:
    """Return a folder and, of Kaggle's folder of images, the three above it."""
    path = folder.resolve()
    return [folder, *path.parents[:3]] if path.parts[-3:] == TOP else [folder]


def of_words(words: Mapping[str, str], where: Path) -> tuple[Edition, ClassTable]:
    """Make the table of wnids and their words; "" stands for the wnid itself.

    Raises:
        DataError: If there are fewer than two, and not none.
    """
    ids = synsets.id_of_wnid()
    if words.keys() <= ids.keys():
        # No number of images: a part of the set has the same classes.
        rows = (
            Synset(index, wnid, ids[wnid], text, 0)
            for index, (wnid, text) in enumerate(sorted(synsets.words_of_wnid().items()))
        )
        return EDITIONS["ilsvrc2012"], ClassTable(tuple(rows))
    if len(words) < 2:
        raise DataError(mismatch(where, "two classes or more", "one", "name all of them"))
    return own(words)


def own(words: Mapping[str, str]) -> tuple[Edition, ClassTable]:
    """Make the table of these wnids alone, with the rank plus 1 as id."""
    ranked = enumerate(sorted(words.items()))
    return FOLDER, ClassTable(
        tuple(Synset(index, wnid, index + 1, text or wnid, 0) for index, (wnid, text) in ranked)
    )


def read(path: Path) -> dict[str, str]:
    """Read a list of classes: each line has a wnid, or another name, and then its words.

    Raises:
        DataError: If it is missing, no text, empty, or names a class twice.
    """
    try:
        return parse(files.read_bytes(path), path)
    except FileNotFoundError:
        raise DataError(mismatch(path, "a list of classes", "no file", "name one")) from None


def parse(content: bytes, where: object) -> dict[str, str]:
    """Parse a list of classes; see `read`."""
    words: dict[str, str] = {}
    for line in text_lines(content, where):
        wnid, _, text = line.replace("\t", " ").partition(" ")
        if wnid in words:
            raise DataError(mismatch(where, "each class once", f"{wnid} twice", "name it once"))
        words[wnid] = text.strip()
    if not words:
        advice = "name a list of wnids, with words behind them"
        raise DataError(mismatch(where, "a list of classes", "an empty one", advice))
    return words


def text_lines(content: bytes, where: object) -> Iterable[str]:
    """Return the lines of a text that are not empty, without a BOM and blanks around them.

    Raises:
        DataError: If it is no text.
    """
    with contextlib.suppress(ValueError):
        lines = content.decode("utf-8-sig").splitlines()
        return [stripped for line in lines if (stripped := line.strip())]
    raise DataError(mismatch(where, "a text file", "other bytes", "save it as UTF-8"))
