"""Lists of images and their classes, in CSV."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from alexrep import files
from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import class_lists, ground_truth
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.member import Member


def read(path: Path) -> dict[str, str]:
    """Read a list; see `parse`."""
    try:
        return parse(files.read_bytes(path), path)
    except FileNotFoundError:
        raise DataError(mismatch(path, "a list of labels", "no file", "name one")) from None


def parse(content: bytes, where: object) -> dict[str, str]:
    """Return the class of each image by its name without suffix; a heading is passed over.

    Of the second field the first word counts: behind the class, Kaggle's has boxes.

    Raises:
        DataError: If it is no such list, or an image is in two classes.
    """
    classes: dict[str, str] = {}
    rows = csv.reader(io.StringIO("\n".join(class_lists.text_lines(content, where))))
    for number, row in enumerate(rows, start=1):
        name = stem(row[0]) if row else ""
        wnid = next(iter(row[1].split()), "") if len(row) > 1 else ""
        if not name or not wnid:
            wanted = f"the name of an image and its class in line {number}"
            raise DataError(mismatch(where, wanted, repr(",".join(row))[:60], "mend the line"))
        if classes.setdefault(name, wnid) != wnid:
            found = f"{name} in {classes[name]} and in {wnid}"
            raise DataError(mismatch(where, "one class for each image", found, "take one out"))
    first = next(iter(classes.items()), ("", ""))
    if is_heading(*first):
        del classes[first[0]]
    if not classes:
        raise DataError(mismatch(where, "names of images and their classes", "none", "mend it"))
    return classes


def is_heading(name: str, wnid: str) -> bool:
    """Tell whether the first row names the columns."""
    return name.lower() in HEADINGS or wnid.lower() in HEADINGS


HEADINGS = {"imageid", "image", "filename", "file", "name", "label", "class", "wnid"}
"""Names of columns, in lower case."""


def stem(path: str) -> str:
    """Return the name of a file without its folders and suffixes."""
    return PurePosixPath(path).name.partition(".")[0]


def truth(
    classes: ClassTable,
    listed: Mapping[str, str],
    where: object,
    class_of: Callable[[str], str] = lambda path: PurePosixPath(path).parent.name,
) -> GroundTruth:
    """Return the labels of val that a list has; those of test as far as it has them.

    Args:
        classes: The classes.
        listed: The class of images by their names without suffix.
        where: The list, for messages.
        class_of: Returns the class of an image by the folder in its path, if it is in one.

    Raises:
        DataError: If it has a class that the table lacks.
    """
    index_of_wnid = classes.index_of_wnid
    foreign = sorted(set(listed.values()) - index_of_wnid.keys())
    if foreign:
        wanted = f"the {len(classes)} classes of the data"
        raise DataError(mismatch(where, wanted, examples(foreign), "match the two"))

    def label(split: str, member: Member) -> int:
        wnid = listed.get(stem(member.name))
        of_folder = index_of_wnid.get(class_of(member.path), -1)
        if split == "test":
            return index_of_wnid[wnid] if wnid else of_folder
        if wnid is None and of_folder >= 0:
            return of_folder
        if wnid is None:
            advice = "list it or remove the image"
            raise DataError(mismatch(where, f"a line for {member.path}", "none", advice))
        if of_folder not in (-1, index_of_wnid[wnid]):
            wanted, advice = f"{member.path} in the folder of its class", "sort it again"
            raise DataError(mismatch(where, wanted, wnid, advice))
        return index_of_wnid[wnid]

    digests = {"val labels": ground_truth.digest(sorted(listed.items()))}
    return GroundTruth(classes, label, digests=digests)
