"""What a distribution says beside its images: the classes, and the labels of val and test."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from alexrep.errors import DataError, examples, mismatch
from alexrep.files import sha256_bytes
from alexrep.ilsvrc import devkit, folders
from alexrep.ilsvrc.archives import Member
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import Edition
from alexrep.ilsvrc.folders import Listing


@dataclass(frozen=True)
class GroundTruth:
    """Classes and labels."""

    classes: ClassTable
    label: Callable[[str, Member], int]
    """Class index of an image by its split, val or test, and its place; -1 unknown."""
    num_labels: dict[str, int] = field(default_factory=dict)
    """Number of labels of each split whose labels are listed apart from its images."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each such list."""


def of_devkit(raw: Path, edition: Edition) -> GroundTruth:
    """Read a devkit of ILSVRC: labels go by the number in an image's name.

    Raises:
        DataError: If the devkit is missing, broken, or of another edition.
    """
    classes = devkit.read_classes(raw, edition)
    labels = {
        "val": devkit.read_val_labels(raw, edition, classes),
        "test": devkit.read_test_labels(raw, edition, classes),
    }
    return GroundTruth(
        classes,
        functools.partial(_label, edition, labels, classes.index_of_wnid),
        {split: len(known) for split, known in labels.items() if known is not None},
        {f"{split} labels": digest(known) for split, known in labels.items()},
    )


def digest(labels: object) -> str:
    """Return the digest of labels: a list, a mapping, or None."""
    return sha256_bytes(repr(labels).encode())


def _label(
    edition: Edition,
    labels: Mapping[str, list[int] | None],
    index_of_wnid: Mapping[str, int],
    split: str,
    member: Member,
) -> int:
    """Return the label in the line that the number in the image's name tells."""
    start, where = f"{edition.prefix}_{split}_", edition.archives[split]
    number = member.name.removeprefix(start).partition(".")[0]
    if not member.name.startswith(start) or not re.fullmatch("[0-9]{1,18}", number):
        wanted = f"names like {start}00000001.JPEG"
        raise DataError(mismatch(where, wanted, member.name, "get it anew"))
    known = labels[split]
    of_folder = index_of_wnid.get(PurePosixPath(member.path).parent.name, -1)
    if known is None:
        return of_folder
    if not 1 <= int(number) <= len(known):
        wanted = f"a number up to {len(known)}, the lines of ground truth"
        raise DataError(mismatch(where, wanted, member.name, "match the two"))
    label = known[int(number) - 1]
    if of_folder not in (-1, label):
        wanted = "images in the class folders that the ground truth tells"
        raise DataError(mismatch(where, wanted, member.path, "sort them into folders anew"))
    return label


def of_folders(listed: Mapping[str, Listing]) -> GroundTruth:
    """Take classes and labels from class folders; images of test in no folder have no label.

    Raises:
        DataError: If the folders of train are no classes, or those of another split
            are not among them.
    """
    classes = folders.class_table(listed["train"])
    index_of_wnid = classes.index_of_wnid
    for split in listed.keys() - {"train"}:
        if split == "test" and not any("/" in one.path for one in listed[split].members):
            continue
        foreign = sorted(folders.by_class(listed[split]).keys() - index_of_wnid.keys())
        if foreign:
            where, advice = listed[split].where, "add it to train or remove it"
            raise DataError(mismatch(where, "classes of train", examples(foreign), advice))
    return GroundTruth(classes, functools.partial(_label_of_folder, index_of_wnid))


def _label_of_folder(index_of_wnid: Mapping[str, int], _: str, member: Member) -> int:
    wnid = member.path.rpartition("/")[0]
    return index_of_wnid[wnid] if wnid else -1
