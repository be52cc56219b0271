"""Which class each output of a network from elsewhere is, by a list of wnids."""

from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.weights import caffe_layers

ADVICE = "name a file such as synset_words.txt"


def order(labels: Path, table: ClassTable) -> list[int]:
    """Return for each class of the table the line of its wnid, from 0.

    Args:
        labels: One wnid a line, in the order of the outputs; what follows it is passed over.
        table: The classes.

    Raises:
        DataError: If it is missing, or not of these classes, each once.
    """
    wnids = [wnid for wnid, _ in _lines(labels)]
    line_of_wnid = {wnid: number for number, wnid in enumerate(wnids)}
    if len(line_of_wnid) != len(wnids) or line_of_wnid.keys() != table.index_of_wnid.keys():
        wanted = f"the {len(table)} wnids of the data, each on a line of its own, once"
        found = (
            f"{len(wnids)} lines, {len(line_of_wnid.keys() & table.index_of_wnid.keys())} of them"
        )
        raise DataError(mismatch(labels, wanted, found, ADVICE))
    return [line_of_wnid[wnid] for wnid in table.index_of_wnid]


def table_of(labels: Path) -> ClassTable:
    """Make a class table of the lines themselves: a wnid, and its words if they follow.

    Raises:
        DataError: If the file is missing or empty, or names a wnid twice.
    """
    lines = _lines(labels)
    wnids = [wnid for wnid, _ in lines]
    if not lines or len(set(wnids)) != len(wnids):
        found = f"{len(wnids)} lines with {len(set(wnids))} different ones"
        raise DataError(mismatch(labels, "wnids, each on a line, once", found, ADVICE))
    leaves = [(wnid, line, words or wnid, 0) for line, (wnid, words) in enumerate(lines, start=1)]
    return classes.of_leaves(leaves)


def _lines(labels: Path) -> list[tuple[str, str]]:
    """Read the wnid and the words of each line."""
    text = caffe_layers.content_of(labels, ADVICE).decode("utf-8", "replace")
    parts = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(wnid, words.strip()) for wnid, _, words in parts]
