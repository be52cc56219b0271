"""Divides the raw archives into units of work, with labels and patches."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives, counts, folders, ground_truth, patches, splits, tiny
from alexrep.ilsvrc.archives import Member
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import SPLITS, TINY, Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.patches import Patches
from alexrep.ilsvrc.unit import Unit

UNIT = 1000
"""Most images in a unit of val, test or a class folder."""


@dataclass(frozen=True)
class Source:
    """A surveyed folder of raw archives."""

    edition: Edition
    """The edition, with the archives' names as found, and for class folders their counts."""
    classes: ClassTable
    units: tuple[Unit, ...]
    digests: dict[str, str]
    """Size and index digest of each archive."""
    remarks: tuple[str, ...]
    """Remarks on what is missing or skipped, and was accepted."""
    settings: dict[str, JsonValue] = field(default_factory=dict)
    """What was asked for where it is a selection; see `selection`."""
    seed: int | None = None
    """Seed of the selection."""
    details: dict[str, JsonValue] = field(default_factory=dict)
    """What the manifest is to say of the selection."""


def survey(raw: Path, edition: Edition, partial: bool, *, own_val: bool = True) -> Source:
    """Read devkit and outer tar indices, check the counts, and divide the work.

    Args:
        raw: Folder with the archives, or with folders of images instead.
        edition: The edition that the folder holds.
        partial: Whether fewer images than the edition has are accepted.
        own_val: Whether val is read; without, it is to be taken from train.

    Raises:
        DataError: If an archive is missing, broken or of another edition, or a
            count is wrong.
    """
    listed, remarks = splits.list_splits(raw, edition, own_val=own_val)
    edition = _as_found(edition, listed)
    truth = _ground_truth(raw, edition, listed)
    patched = patches.read(raw, edition)
    patches.require(raw, edition, patched, partial)
    units: list[Unit] = []
    if "train" in listed:
        where, groups = listed["train"].where, _by_wnid(edition, listed["train"])
        remarks += counts.check_synsets(edition, truth.classes, where, groups, partial)
        units += _train_units(edition, truth.classes, where, groups, patched, partial)
    for split, listing in listed.items():
        if split != "train":
            # Names first: --partial accepts a wrong count, but never a wrong name.
            units += _flat_units(split, listing, truth, patched)
            remarks += counts.check_images(edition, split, listing, truth, partial)
    of_test = [label for unit in units if unit.split == "test" for label in unit.labels]
    remarks += counts.remark_unlabelled(edition, of_test)
    used = ((unit.split, name) for unit in units for name in unit.patches)
    remarks += patches.check_unused(patched, used, partial)
    digests = {listing.where.name: _digest(listing) for listing in listed.values()}
    digests |= {"classes": truth.classes.digest(), **truth.digests}
    if patched:
        remarks += patched.remarks
        digests[edition.patches] = f"index {archives.index_digest([*patched.by_name.values()])}"
    return Source(edition, truth.classes, tuple(units), digests, tuple(remarks))


def _ground_truth(raw: Path, edition: Edition, listed: dict[str, Listing]) -> GroundTruth:
    if edition.is_open:
        return ground_truth.of_folders(listed)
    return tiny.read(raw) if edition.name == TINY.name else ground_truth.of_devkit(raw, edition)


def _as_found(edition: Edition, listed: dict[str, Listing]) -> Edition:
    """Return the edition with the archives' names as found, and if open with their counts."""
    names = {split: listing.where.name for split, listing in listed.items()}
    edition = dataclasses.replace(edition, archives=edition.archives | names)
    if not edition.is_open:
        return edition
    numbers = {split: len(listed[split].members) if split in listed else 0 for split in SPLITS}
    return dataclasses.replace(edition, num_images=numbers)


def _digest(listing: Listing) -> str:
    """Return size and index digest of an archive; a folder has the size of its images."""
    where, members = listing.where, listing.members
    size = where.stat().st_size if where.is_file() else sum(member.size for member in members)
    return f"{size} bytes, index {archives.index_digest(members)}"


def _by_wnid(edition: Edition, train: Listing) -> dict[str, list[Member]]:
    """Return the images of each class, or its nested tar."""
    if train.where.is_dir():
        return folders.by_class(train, edition.inner)
    groups: dict[str, list[Member]] = {}
    for tar in train.members:
        groups.setdefault(tar.name.removesuffix(".tar"), []).append(tar)
    twice = sorted(wnid for wnid, tars in groups.items() if len(tars) > 1)
    if twice:
        raise DataError(
            mismatch(train.where, "each synset once", examples(twice), "download it again")
        )
    return groups


def _train_units(
    edition: Edition,
    classes: ClassTable,
    where: Path,
    groups: dict[str, list[Member]],
    patched: Patches | None,
    partial: bool,
) -> Iterator[Unit]:
    index_of_wnid = classes.index_of_wnid
    # Others' sets in the layout of Tiny ImageNet may have more images than it.
    any_number = edition.is_open or (partial and edition.name == TINY.name)
    for wnid in sorted(groups):
        synset = classes.synsets[index_of_wnid[wnid]]
        unit = Unit(
            name=f"train/{wnid}",
            archive=where,
            members=tuple(groups[wnid]),
            labels=(synset.index,),
            patches=patches.pick(patched, "train", functools.partial(_is_of, wnid)),
            patch_archive=patched.archive if patched else None,
            num_expected=None if any_number else synset.num_train_images,
            is_partial=partial,
            is_nested=not where.is_dir(),
        )
        # A synset of ILSVRC stays one unit: its images are counted, and they share a tar.
        yield from _divide(unit) if edition.is_open else (unit,)


def _divide(unit: Unit) -> Iterator[Unit]:
    """Divide the unit of a large class into units of at most UNIT images."""
    if len(unit.members) <= UNIT:
        yield unit
        return
    for number, start in enumerate(range(0, len(unit.members), UNIT)):
        part = unit.members[start : start + UNIT]
        yield dataclasses.replace(unit, name=f"{unit.name}/{number:05d}", members=part)


def _flat_units(
    split: str, listing: Listing, truth: GroundTruth, patched: Patches | None
) -> Iterator[Unit]:
    ordered = sorted(listing.members, key=lambda member: member.name)
    _refuse_twice(listing.where, [member.name for member in ordered])
    for start in range(0, len(ordered), UNIT):
        part = tuple(ordered[start : start + UNIT])
        names = {member.name for member in part}
        yield Unit(
            name=f"{split}/{start // UNIT:05d}",
            archive=listing.where,
            members=part,
            labels=tuple(truth.label(split, member) for member in part),
            patches=patches.pick(patched, split, names.__contains__),
            patch_archive=patched.archive if patched else None,
        )


def _refuse_twice(where: Path, ordered: list[str]) -> None:
    twice = [name for name, following in itertools.pairwise(ordered) if name == following]
    if twice:
        raise DataError(mismatch(where, "each image once", examples(twice), "download it again"))


def _is_of(wnid: str, name: str) -> bool:
    return name.startswith(f"{wnid}_")
