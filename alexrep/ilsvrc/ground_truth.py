"""Class table and val/test labels of a distribution."""

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
    """Class table and val/test labels of a distribution."""

    classes: ClassTable
    label: Callable[[str, Member], int]
    """Return the class index of an image from its split, val or test, and member; -1 unknown."""
    num_labels: dict[str, int] = field(default_factory=dict)
    """Number of labels of each split that has a list of labels."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each list of labels."""


def of_devkit(raw: Path, edition: Edition) -> GroundTruth:
    """Read a devkit of ILSVRC; labels are listed by the number in the image's name.

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
        {split: len(listed) for split, listed in labels.items() if listed is not None},
        {f"{split} labels": digest(listed) for split, listed in labels.items()},
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
    """Return the label in the line of the number in the image's name."""
    start, where = f"{edition.prefix}_{split}_", edition.archives[split]
    number = member.name.removeprefix(start).partition(".")[0]
    if not member.name.startswith(start) or not re.fullmatch("[0-9]{1,18}", number):
        wanted = f"names like {start}00000001.JPEG"
        raise DataError(mismatch(where, wanted, member.name, "download it again"))
    listed = labels[split]
    of_folder = index_of_wnid.get(PurePosixPath(member.path).parent.name, -1)
    if listed is None:
        return of_folder
    if not 1 <= int(number) <= len(listed):
        wanted = f"a number up to {len(listed)}, the lines of ground truth"
        raise DataError(mismatch(where, wanted, member.name, "match the two"))
    label = listed[int(number) - 1]
    if of_folder not in (-1, label):
        wanted = "images in the class folders of the ground truth"
        raise DataError(mismatch(where, wanted, member.path, "sort them into folders again"))
    return label


def of_folders(listed: Mapping[str, Listing]) -> GroundTruth:
    """Take classes and labels from class folders; test images outside of folders have no label.

    Without train, as in data for evaluation, val has the classes.

    Raises:
        DataError: If train has no proper class folders, or another split has other classes.
    """
    classes = folders.class_table(listed.get("train") or listed["val"])
    index_of_wnid = classes.index_of_wnid
    for split in listed.keys() - {"train"}:
        if split == "test" and not any(folders.class_of(m.path) for m in listed[split].members):
            continue
        foreign = sorted(folders.by_class(listed[split]).keys() - index_of_wnid.keys())
        if foreign:
            where, advice = listed[split].where, "add it to train or remove it"
            raise DataError(mismatch(where, "classes of train", examples(foreign), advice))
    return GroundTruth(classes, functools.partial(_label_of_folder, index_of_wnid))


def _label_of_folder(index_of_wnid: Mapping[str, int], _: str, member: Member) -> int:
    wnid = folders.class_of(member.path)
    return index_of_wnid[wnid] if wnid else -1
