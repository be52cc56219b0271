"""Divides the listed images of a data set into units of work, with labels and patches."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.files import sha256_bytes
from alexrep.ilsvrc import archives, counts, patches
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import SPLITS, TINY, Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.patches import Patches
from alexrep.ilsvrc.unit import Original, Source, Unit

UNIT = 1000
"""Most images in a unit of val, test or a class folder."""


def assemble(
    request: Request,
    edition: Edition,
    listed: Mapping[str, Listing],
    of_wnid: Mapping[str, list[Member]],
    truth: GroundTruth,
    remarks: list[str],
) -> Source:
    """Check the counts, and divide the work.

    Args:
        request: What is asked for.
        edition: The edition, with the archives' names as found.
        listed: Images of each split; of train tars of classes, if they are nested.
        of_wnid: Images of each class of train, or its nested tar.
        truth: Classes and labels.
        remarks: What was found odd so far, and accepted.

    Raises:
        DataError: If a count is wrong, a class or a name foreign, or a patch is of no image.
    """
    partial, remarks = request.partial, list(remarks)
    patched = patches.read(request.folder, edition)
    patches.require(request.folder, edition, patched, partial)
    units: list[Unit] = []
    if "train" in listed:
        where = listed["train"].where
        remarks += counts.check_synsets(edition, truth.classes, where, of_wnid, partial)
        units += _train_units(edition, truth.classes, where, of_wnid, patched, partial)
    for split, listing in listed.items():
        if split != "train":
            # Names first: --partial accepts a wrong count, but never a wrong name.
            units += _flat_units(split, listing, truth, patched)
            remarks += counts.check_images(edition, split, listing, truth, partial)
    of_test = [label for unit in units if unit.split == "test" for label in unit.labels]
    remarks += counts.remark_unlabelled(edition, of_test)
    used = ((unit.split, name) for unit in units for name in unit.patches)
    remarks += patches.check_unused(patched, used, partial, request.wanted)
    digests = {listing.name: _digest(listing) for listing in listed.values()}
    digests |= {"classes": truth.classes.digest(), **truth.digests}
    if patched:
        remarks += patched.remarks
        digests[edition.patches] = f"index {archives.index_digest([*patched.by_name.values()])}"
    return Source(edition, truth.classes, tuple(units), digests, tuple(remarks))


def unlisted(
    request: Request,
    edition: Edition,
    classes: ClassTable,
    files: Mapping[str, list[Path]],
    read: Callable[[Unit], Iterator[Original]],
) -> Source:
    """Make a unit of each archive whose images are known only once they are read.

    Counts are checked when all are prepared.

    Args:
        request: What is asked for.
        edition: The edition.
        classes: Its classes.
        files: The archives of each split, in order.
        read: Reads the images of a unit.

    Raises:
        DataError: If train or val is missing.
    """
    files = {s: files[s] for s in SPLITS if s in files and (s != "val" or request.own_val)}
    for split in ("train", "val") if request.own_val else ("train",):
        if split not in files:
            advice = "download it, too"
            raise DataError(mismatch(request.folder, f"archives of {split}", "none", advice))
    units = []
    for split, paths in files.items():
        guess = edition.num_images[split] // len(paths)
        for path in paths:
            stem = path.name.partition(".")[0]
            units.append(Unit(f"{split}/{stem}", path, (), (), reader=read, num_guessed=guess))
    names = {
        split: paths[0].name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        for split, paths in files.items()
    }
    digests = {names[split]: _size_digest(paths) for split, paths in files.items()}
    digests["classes"] = classes.digest()
    edition = dataclasses.replace(edition, archives=edition.archives | names, patches="")
    remarks = () if "test" in files else ("no test archives: no test split",)
    return Source(edition, classes, tuple(units), digests, remarks)


def _size_digest(paths: list[Path]) -> str:
    """Return the size of archives, and a digest of their names and sizes."""
    sizes = [(path.name, path.stat().st_size) for path in paths]
    return f"{sum(size for _, size in sizes)} bytes, index {sha256_bytes(repr(sizes).encode())}"


def as_found(edition: Edition, listed: Mapping[str, Listing]) -> Edition:
    """Return the edition with the archives' names as found."""
    names = {split: listing.name for split, listing in listed.items()}
    return dataclasses.replace(edition, archives=edition.archives | names)


def as_open(edition: Edition, listed: Mapping[str, Listing]) -> Edition:
    """Return an edition of any images with the numbers that are there; others as they are."""
    if not edition.is_open:
        return edition
    numbers = {split: len(listed[split].members) if split in listed else 0 for split in SPLITS}
    return dataclasses.replace(edition, num_images=numbers)


def _digest(listing: Listing) -> str:
    """Return size and index digest of an archive; a folder has the size of its images."""
    where, members = listing.where, listing.members
    size = where.stat().st_size if where.is_file() else sum(member.size for member in members)
    return f"{size} bytes, index {archives.index_digest(members)}"


def _train_units(
    edition: Edition,
    classes: ClassTable,
    where: Path,
    of_wnid: Mapping[str, list[Member]],
    patched: Patches | None,
    partial: bool,
) -> Iterator[Unit]:
    index_of_wnid = classes.index_of_wnid
    # Others' sets in the layout of Tiny ImageNet may have more images than it.
    any_number = edition.is_open or (partial and edition.name == TINY.name)
    for wnid in sorted(of_wnid):
        synset = classes.synsets[index_of_wnid[wnid]]
        unit = Unit(
            name=f"train/{wnid}",
            archive=where,
            members=tuple(of_wnid[wnid]),
            labels=(synset.index,),
            patches=patches.pick(patched, "train", functools.partial(_is_of, wnid)),
            patch_archive=patched.archive if patched else None,
            num_expected=None if any_number else synset.num_train_images or None,
            is_partial=partial,
            is_nested=not (where.is_dir() or archives.is_zip(where)),
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
