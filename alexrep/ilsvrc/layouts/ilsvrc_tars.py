"""ILSVRC as distributed: a tar of each split beside the devkit; or folders that were unpacked."""

import contextlib
import functools
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives, class_lists, devkit, folders, splits
from alexrep.ilsvrc.assemble import as_found, assemble
from alexrep.ilsvrc.editions import EDITIONS as KNOWN
from alexrep.ilsvrc.editions import Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth, digest
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.unit import Source

EDITIONS = tuple(KNOWN)
"""Names of the editions in this form."""
LISTS: tuple[str, ...] = ()
"""Lists that a user may name for what this form may lack."""


def recognise(folder: Path) -> Edition | None:
    """See `Layout`: tars have the edition in their names, folders a devkit beside them."""
    present = [edition for edition in KNOWN.values() if _is_in(folder, edition)]
    if len(present) > 1:
        wanted = " or ".join(edition.archives["train"] for edition in KNOWN.values())
        found = ", ".join(edition.name for edition in present)
        advice = "put one edition's tars there; see devkit/"
        raise DataError(mismatch(folder, wanted, found, advice))
    return present[0] if present else None


def survey(request: Request) -> Source:
    """See `Layout`."""
    folder, edition = request.folder, request.edition
    listed, remarks = splits.list_splits(folder, edition, request.wanted)
    edition = as_found(edition, listed)
    truth = _of_folders(folder, edition, listed) or _ground_truth(folder, edition)
    train = listed.get("train")
    of_wnid = _by_wnid(train) if train else {}
    remarks += _passed_over_inside(train) if train else []
    return assemble(request, edition, listed, of_wnid, truth, remarks)


def _passed_over_inside(train: Listing) -> list[str]:
    """Remark on what is passed over in the first of the nested tars: the others will be alike."""
    others: list[str] = []
    if train.where.is_file() and train.members:
        tar = train.members[0]
        with contextlib.suppress(DataError):  # told when its unit is prepared
            archives.members(train.where, tar.offset, tar.size, others)
    if not others:
        return []
    return [
        f"{train.name}: {len(others):,} passed over in its first tar, hidden: {examples(others)}"
    ]


def _is_in(raw: Path, edition: Edition) -> bool:
    """Tell whether a folder has tars of the edition, or folders of images beside its devkit."""
    splits = ("train", "val")
    if any((raw / edition.archives[split]).exists() for split in splits):
        return True
    names = [name for split in splits for name in edition.names(split)]
    return any((raw / name).is_dir() for name in names) and any(
        (raw / name).exists() for name in edition.devkits
    )


def _by_wnid(train: Listing) -> dict[str, list[Member]]:
    """Return the images of each class, or its nested tar."""
    if train.where.is_dir():
        return folders.by_class(train)
    groups: dict[str, list[Member]] = {}
    for tar in train.members:
        groups.setdefault(tar.name.removesuffix(".tar"), []).append(tar)
    twice = sorted(wnid for wnid, tars in groups.items() if len(tars) > 1)
    if twice:
        raise DataError(
            mismatch(train.where, "each synset once", examples(twice), "download it again")
        )
    return groups


def _of_folders(
    folder: Path, edition: Edition, listed: Mapping[str, Listing]
) -> GroundTruth | None:
    """Take the shipped classes of ILSVRC-2012 if there is no devkit and none is needed.

    None is, if val is sorted into folders of wnids, or not read; test has no labels then.
    """
    has_kit = any((folder / name).exists() for name in edition.devkits)
    if has_kit or edition.name != "ilsvrc2012":
        return None
    _, classes = class_lists.of_words({}, folder)
    ranks, val = classes.index_of_wnid, listed.get("val")
    if val and not all(folders.class_of(member.path) in ranks for member in val.members):
        return None

    def label(split: str, member: Member) -> int:
        return ranks[folders.class_of(member.path)] if split == "val" else -1

    return GroundTruth(classes, label)


def _ground_truth(folder: Path, edition: Edition) -> GroundTruth:
    """Read a devkit of ILSVRC; labels are listed by the number in the image's name.

    Raises:
        DataError: If the devkit is missing, broken, or of another edition.
    """
    classes = devkit.read_classes(folder, edition)
    labels = {
        "val": devkit.read_val_labels(folder, edition, classes),
        "test": devkit.read_test_labels(folder, edition, classes),
    }
    return GroundTruth(
        classes,
        functools.partial(_label, edition, labels, classes.index_of_wnid),
        {split: len(listed) for split, listed in labels.items() if listed is not None},
        {f"{split} labels": digest(listed) for split, listed in labels.items()},
    )


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
