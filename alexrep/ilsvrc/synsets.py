"""The 1,000 synsets of ILSVRC-2012: words for class folders that are named by wnids alone.

`synsets.txt` has a line for each: the wnid, and the words of WordNet.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def words_of_wnid() -> Mapping[str, str]:
    """Return the words of each synset, separated by a comma and a space, by wnid."""
    text = (resources.files(__package__) / "synsets.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())
