"""What is to be prepared: the raw archives divided into units, with labels and patches."""

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from alexrep.errors import DataError, examples, mismatch
from alexrep.files import sha256_bytes
from alexrep.ilsvrc import archives, devkit
from alexrep.ilsvrc.archives import Member
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import SPLITS, Edition

UNIT = 1000
"""Images in a unit of val or test."""


@dataclass(frozen=True)
class Patches:
    """The corrected images."""

    archive: Path
    by_name: dict[tuple[str, str], Member]
    """Member by (split, file name)."""


@dataclass(frozen=True)
class Unit:
    """A part of the work: a synset's tar, or a range of 1,000 val or test images."""

    name: str
    """As in train/n01440764 or val/00000; also the stem of its output."""
    archive: Path
    members: tuple[Member, ...]
    """The images; for train the one nested tar, listed only when its turn comes."""
    labels: tuple[int, ...]
    """Class index of each image, -1 unknown; for train the one of all."""
    patches: dict[str, Member] = field(default_factory=dict)
    """Replacements by file name; for train also additions."""
    patch_archive: Path | None = None
    num_expected: int | None = None
    """Images that the devkit promises; None: as many as there are."""

    @property
    def split(self) -> str:
        """The split it belongs to."""
        return self.name.split("/")[0]


@dataclass(frozen=True)
class Source:
    """A folder of raw archives, understood."""

    edition: Edition
    classes: ClassTable
    units: tuple[Unit, ...]
    digests: dict[str, str]
    """Size and index digest of each archive read."""
    remarks: tuple[str, ...]
    """What is missing and was accepted."""


def survey(raw: Path, edition: Edition, partial: bool) -> Source:
    """Read devkit and outer indices, check the counts, and divide the work.

    Args:
        raw: Folder with the archives.
        edition: The edition that it holds.
        partial: Whether fewer images than the edition has are accepted.

    Raises:
        DataError: If an archive is missing, broken or of another edition, or a
            count is wrong.
    """
    classes = devkit.read_classes(raw, edition)
    listed = _list(raw, edition)
    patches = _patches(raw, edition)
    remarks = _absences(raw, edition, listed, patches, partial)
    remarks += _count_synsets(edition, classes, listed["train"], raw, partial)
    units = list(_train_units(raw, edition, classes, listed["train"], patches, partial))
    labels = {
        "val": devkit.read_val_labels(raw, edition, classes),
        "test": devkit.read_test_labels(raw, edition, classes),
    }
    for split, known in labels.items():
        if split in listed:
            remarks += _count_images(raw, edition, split, listed[split], known, partial)
            units += _flat_units(raw, edition, split, listed[split], known, patches)
    _refuse_unused(patches, units)
    digests = {
        edition.archives[split]: f"{os.path.getsize(raw / edition.archives[split])} bytes, index "
        + archives.index_digest(found)
        for split, found in listed.items()
    }
    digests["classes"] = classes.digest()
    for split, known in labels.items():
        digests[f"{split} labels"] = sha256_bytes(repr(known).encode())
    if patches:
        listing = list(patches.by_name.values())
        digests[edition.patches] = f"index {archives.index_digest(listing)}"
    return Source(edition, classes, tuple(units), digests, tuple(remarks))


def train_members(unit: Unit) -> list[Member]:
    """List the images in the nested tar of a train unit.

    Raises:
        DataError: If it is broken or empty; it is named.
    """
    tar = unit.members[0]
    try:
        listed = archives.members(unit.archive, tar.offset, tar.size)
    except DataError as error:
        raise DataError(f"{tar.path} in {error}") from None
    if not listed:
        where = f"{tar.path} in {unit.archive}"
        raise DataError(mismatch(where, "images", "an empty tar", "get it anew"))
    return listed


def _list(raw: Path, edition: Edition) -> dict[str, list[Member]]:
    """List each split's tar that exists; train and val must."""
    listed = {}
    for split in SPLITS:
        path = raw / edition.archives[split]
        if path.exists():
            listed[split] = archives.members(path)
            if not listed[split]:
                raise DataError(mismatch(path, f"{split} images", "an empty tar", "get it anew"))
        elif split != "test":
            raise DataError(mismatch(raw, path.name, "no such file", "put it there; see devkit/"))
    return listed


def _absences(
    raw: Path,
    edition: Edition,
    listed: dict[str, list[Member]],
    patches: Patches | None,
    partial: bool,
) -> list[str]:
    remarks = []
    if "test" not in listed:
        remarks.append(f"no {edition.archives['test']}: no test split")
    if patches is None and edition.name == "ilsvrc2010" and not partial:
        advice = "put it there, or accept the uncorrected images with --partial"
        raise DataError(mismatch(raw, edition.patches, "no such file", advice))
    return remarks


def _count_synsets(
    edition: Edition, classes: ClassTable, tars: list[Member], raw: Path, partial: bool
) -> list[str]:
    """Check that each class has its tar."""
    where = raw / edition.archives["train"]
    wnids = [_wnid(tar) for tar in tars]
    foreign = sorted(set(wnids) - classes.index_of_wnid.keys())
    if foreign:
        wanted = f"synsets of {edition.name}'s devkit"
        raise DataError(mismatch(where, wanted, examples(foreign), "match the two"))
    if len(set(wnids)) != len(wnids):
        twice = examples(sorted({wnid for wnid in wnids if wnids.count(wnid) > 1}))
        raise DataError(mismatch(where, "each synset once", twice, "get it anew"))
    missing = sorted(classes.index_of_wnid.keys() - set(wnids))
    if missing:
        found = f"{len(wnids)} ({examples(missing)} missing)"
        wanted = f"{len(classes)} synsets"
        return [_accept(where, wanted, found, partial)]
    if len(wnids) != edition.num_synsets:
        wanted = f"{edition.num_synsets:,} synsets of {edition.name}"
        return [_accept(where, wanted, f"{len(wnids):,}", partial)]
    return []


def _count_images(
    raw: Path,
    edition: Edition,
    split: str,
    images: list[Member],
    labels: list[int] | None,
    partial: bool,
) -> list[str]:
    where, wanted = raw / edition.archives[split], edition.num_images[split]
    if labels is not None and len(labels) != len(images):
        found = f"{len(labels):,} lines of ground truth for {len(images):,} images"
        return [_accept(where, "one label for each image", found, partial)]
    if len(images) != wanted:
        return [_accept(where, f"{wanted:,} {split} images", f"{len(images):,}", partial)]
    return []


def _accept(where: Path, wanted: str, found: str, partial: bool) -> str:
    """Refuse a wrong count, or with `partial` make a remark of it."""
    if not partial:
        advice = "get it anew, or accept it with --partial"
        raise DataError(mismatch(where, wanted, found, advice))
    return f"{where.name}: {found} instead of {wanted}, accepted"


def _patches(raw: Path, edition: Edition) -> Patches | None:
    path = raw / edition.patches
    if not path.exists():
        return None
    by_name: dict[tuple[str, str], Member] = {}
    for member in archives.members(path):
        splits = [part for part in PurePosixPath(member.path).parts[:-1] if part in SPLITS]
        if not splits:
            found = f"{member.path} outside of them"
            raise DataError(
                mismatch(path, "patches below train, val or test", found, "get it anew")
            )
        if (splits[-1], member.name) in by_name:
            found = f"{member.path} again"
            raise DataError(mismatch(path, "each patch once", found, "get it anew"))
        by_name[splits[-1], member.name] = member
    return Patches(path, by_name)


def _train_units(
    raw: Path,
    edition: Edition,
    classes: ClassTable,
    tars: list[Member],
    patches: Patches | None,
    partial: bool,
) -> Iterator[Unit]:
    for tar in sorted(tars, key=_wnid):
        synset = classes.synsets[classes.index_of_wnid[_wnid(tar)]]
        yield Unit(
            name=f"train/{synset.wnid}",
            archive=raw / edition.archives["train"],
            members=(tar,),
            labels=(synset.index,),
            patches=_pick(patches, "train", functools.partial(_is_of, synset.wnid)),
            patch_archive=patches.archive if patches else None,
            num_expected=None if partial else synset.num_train_images,
        )


def _flat_units(
    raw: Path,
    edition: Edition,
    split: str,
    images: list[Member],
    labels: list[int] | None,
    patches: Patches | None,
) -> Iterator[Unit]:
    ordered = sorted(images, key=lambda member: member.name)
    _refuse_twice(raw / edition.archives[split], [member.name for member in ordered])
    for start in range(0, len(ordered), UNIT):
        part = tuple(ordered[start : start + UNIT])
        held = {member.name for member in part}
        yield Unit(
            name=f"{split}/{start // UNIT:05d}",
            archive=raw / edition.archives[split],
            members=part,
            labels=tuple(_label(member, edition, split, labels) for member in part),
            patches=_pick(patches, split, held.__contains__),
            patch_archive=patches.archive if patches else None,
        )


def _refuse_twice(where: Path, ordered: list[str]) -> None:
    twice = [one for one, following in itertools.pairwise(ordered) if one == following]
    if twice:
        raise DataError(mismatch(where, "each image once", examples(twice), "get it anew"))


def _label(member: Member, edition: Edition, split: str, labels: list[int] | None) -> int:
    """Return the label in the line that the number in the image's name tells."""
    start = f"{edition.prefix}_{split}_"
    number = member.name.removeprefix(start).partition(".")[0]
    if not member.name.startswith(start) or not re.fullmatch("[0-9]{1,18}", number):
        wanted = f"names like {start}00000001.JPEG"
        raise DataError(mismatch(edition.archives[split], wanted, member.name, "get it anew"))
    if labels is None:
        return -1
    if not 1 <= int(number) <= len(labels):
        wanted = f"a number up to {len(labels)}, the lines of ground truth"
        raise DataError(mismatch(edition.archives[split], wanted, member.name, "match the two"))
    return labels[int(number) - 1]


def _pick(patches: Patches | None, split: str, wanted: Callable[[str], bool]) -> dict[str, Member]:
    if patches is None:
        return {}
    return {
        name: member
        for (place, name), member in patches.by_name.items()
        if place == split and wanted(name)
    }


def _is_of(wnid: str, name: str) -> bool:
    return name.startswith(f"{wnid}_")


def _wnid(tar: Member) -> str:
    return tar.name.removesuffix(".tar")


def _refuse_unused(patches: Patches | None, units: list[Unit]) -> None:
    if patches is None:
        return
    used = {(unit.split, name) for unit in units for name in unit.patches}
    unused = sorted(f"{split}/{name}" for split, name in patches.by_name.keys() - used)
    if unused:
        advice = "put the archives of the same edition together"
        raise DataError(mismatch(patches.archive, "a use for each patch", examples(unused), advice))
