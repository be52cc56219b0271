"""What is to be prepared: the raw archives divided into units, with labels and patches."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives, counts, folders, ground_truth, patches, splits, tiny
from alexrep.ilsvrc.archives import Member
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import SPLITS, TINY, Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.patches import Patches

UNIT = 1000
"""Images in a unit of val or test."""


@dataclass(frozen=True)
class Unit:
    """A part of the work: a class of train, or a range of 1,000 images."""

    name: str
    """As in train/n01440764 or val/00000; also the stem of its output."""
    archive: Path
    """A tar, or a folder."""
    members: tuple[Member, ...]
    """The images; if nested the one tar, listed only when its turn comes."""
    labels: tuple[int, ...]
    """Class index of each image, -1 unknown; for train the one of all."""
    patches: dict[str, Member] = field(default_factory=dict)
    """Replacements by file name; for train also additions."""
    patch_archive: Path | None = None
    num_expected: int | None = None
    """Images that the devkit promises; None: as many as there are."""
    is_partial: bool = False
    """Whether fewer are accepted."""
    is_nested: bool = False
    """Whether the images lie in a tar inside the archive."""

    @property
    def split(self) -> str:
        """The split it belongs to."""
        return self.name.split("/")[0]


@dataclass(frozen=True)
class Source:
    """A folder of raw archives, understood."""

    edition: Edition
    """With the names of the archives that were found, and for class folders their counts."""
    classes: ClassTable
    units: tuple[Unit, ...]
    digests: dict[str, str]
    """Size and index digest of each archive read."""
    remarks: tuple[str, ...]
    """What is missing or passed over and was accepted."""


def survey(raw: Path, edition: Edition, partial: bool) -> Source:
    """Read devkit and outer indices, check the counts, and divide the work.

    Args:
        raw: Folder with the archives, or with folders of images in place of them.
        edition: The edition that it holds.
        partial: Whether fewer images than the edition has are accepted.

    Raises:
        DataError: If an archive is missing, broken or of another edition, or a
            count is wrong.
    """
    listed, remarks = splits.list_splits(raw, edition)
    edition = _as_found(edition, listed)
    truth = _ground_truth(raw, edition, listed)
    patched = patches.read(raw, edition)
    patches.require(raw, edition, patched, partial)
    where, groups = listed["train"].where, _by_wnid(edition, listed["train"])
    remarks += counts.check_synsets(edition, truth.classes, where, groups, partial)
    units = list(_train_units(edition, truth.classes, where, groups, patched, partial))
    for split, listing in listed.items():
        if split != "train":
            # Names that are refused in any case come before counts that --partial accepts.
            units += _flat_units(split, listing, truth, patched)
            remarks += counts.check_images(edition, split, listing, truth, partial)
    of_test = [label for unit in units if unit.split == "test" for label in unit.labels]
    remarks += counts.remark_unlabelled(edition, of_test)
    used = ((unit.split, name) for unit in units for name in unit.patches)
    remarks += patches.check_unused(patched, used, partial)
    digests = {one.where.name: _digest(one) for one in listed.values()}
    digests |= {"classes": truth.classes.digest(), **truth.digests}
    if patched:
        remarks += patched.remarks
        digests[edition.patches] = f"index {archives.index_digest([*patched.by_name.values()])}"
    return Source(edition, truth.classes, tuple(units), digests, tuple(remarks))


def train_members(unit: Unit) -> list[Member]:
    """List the images of a train unit: its files, or what is in its nested tar.

    Raises:
        DataError: If that is broken or empty; it is named.
    """
    if not unit.is_nested:
        return list(unit.members)
    tar = unit.members[0]
    try:
        listed = archives.members(unit.archive, tar.offset, tar.size)
    except DataError as error:
        raise DataError(f"{tar.path} in {error}") from None
    if not listed:
        where = f"{tar.path} in {unit.archive}"
        raise DataError(mismatch(where, "images", "an empty tar", "get it anew"))
    return listed


def _ground_truth(raw: Path, edition: Edition, listed: dict[str, Listing]) -> GroundTruth:
    if edition.is_open:
        return ground_truth.of_folders(listed)
    return tiny.read(raw) if edition.name == TINY.name else ground_truth.of_devkit(raw, edition)


def _as_found(edition: Edition, listed: dict[str, Listing]) -> Edition:
    """Note where the splits lie, and of an open edition the counts: it has no others."""
    names = {split: one.where.name for split, one in listed.items()}
    found = dataclasses.replace(edition, archives=edition.archives | names)
    if not edition.is_open:
        return found
    numbers = {split: len(listed[split].members) if split in listed else 0 for split in SPLITS}
    return dataclasses.replace(found, num_images=numbers)


def _digest(listing: Listing) -> str:
    """Return size and index digest; the size of a folder is that of its images."""
    where, members = listing.where, listing.members
    size = where.stat().st_size if where.is_file() else sum(member.size for member in members)
    return f"{size} bytes, index {archives.index_digest(members)}"


def _by_wnid(edition: Edition, train: Listing) -> dict[str, list[Member]]:
    """Return the images, or the one tar, of each class."""
    if train.where.is_dir():
        return folders.by_class(train, edition.inner)
    groups: dict[str, list[Member]] = {}
    for tar in train.members:
        groups.setdefault(tar.name.removesuffix(".tar"), []).append(tar)
    twice = sorted(wnid for wnid, tars in groups.items() if len(tars) > 1)
    if twice:
        found = examples(twice)
        raise DataError(mismatch(train.where, "each synset once", found, "get it anew"))
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
    for wnid in sorted(groups):
        synset = classes.synsets[index_of_wnid[wnid]]
        unit = Unit(
            name=f"train/{wnid}",
            archive=where,
            members=tuple(groups[wnid]),
            labels=(synset.index,),
            patches=patches.pick(patched, "train", functools.partial(_is_of, wnid)),
            patch_archive=patched.archive if patched else None,
            num_expected=None if edition.is_open else synset.num_train_images,
            is_partial=partial,
            is_nested=not where.is_dir(),
        )
        # A synset of ILSVRC stays whole: its images are counted, and a tar's are one unit too.
        yield from _divide(unit) if edition.is_open else (unit,)


def _divide(unit: Unit) -> Iterator[Unit]:
    """Divide the unit of a large class into ranges."""
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
        held = {member.name for member in part}
        yield Unit(
            name=f"{split}/{start // UNIT:05d}",
            archive=listing.where,
            members=part,
            labels=tuple(truth.label(split, member) for member in part),
            patches=patches.pick(patched, split, held.__contains__),
            patch_archive=patched.archive if patched else None,
        )


def _refuse_twice(where: Path, ordered: list[str]) -> None:
    twice = [one for one, following in itertools.pairwise(ordered) if one == following]
    if twice:
        raise DataError(mismatch(where, "each image once", examples(twice), "get it anew"))


def _is_of(wnid: str, name: str) -> bool:
    return name.startswith(f"{wnid}_")
