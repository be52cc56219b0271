"""The 1,000 synsets of ILSVRC-2012, for data that come without its devkit.

`synsets.txt` has a line for each: the wnid, the id in the devkit, and the words of WordNet.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def _rows() -> tuple[tuple[str, int, str], ...]:
    text = (resources.files(__package__) / "synsets.txt").read_text(encoding="utf-8")
    rows = (line.split(" ", 2) for line in text.splitlines())
    return tuple((wnid, int(number), words) for wnid, number, words in rows)


@cache
def words_of_wnid() -> Mapping[str, str]:
    """Return the words of each synset, separated by a comma and a space, by wnid."""
    return {wnid: words for wnid, _, words in _rows()}


@cache
def id_of_wnid() -> Mapping[str, int]:
    """Return the devkit's id of each synset, 1 to 1000, by wnid."""
    return {wnid: number for wnid, number, _ in _rows()}
