"""Checks that all synsets and images of an edition are present; --partial accepts fewer."""

from collections.abc import Collection, Sequence
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth


def check_synsets(
    edition: Edition, classes: ClassTable, where: Path, wnids: Collection[str], partial: bool
) -> list[str]:
    """Check that train, a tar or folder at `where`, has every class.

    Returns:
        Remarks on what `partial` accepted.

    Raises:
        DataError: If there is a class that the devkit lacks or, unless `partial`, one is missing.
    """
    foreign = sorted(set(wnids) - classes.index_of_wnid.keys())
    if foreign:
        wanted = f"synsets of {edition.name}'s devkit"
        raise DataError(mismatch(where, wanted, examples(foreign), "match the two"))
    missing = sorted(classes.index_of_wnid.keys() - set(wnids))
    if missing:
        found = f"{len(wnids)} ({examples(missing)} missing)"
        wanted = f"{len(classes)} synsets"
        return [_accept(where, wanted, found, partial)]
    if len(wnids) != edition.num_synsets and not edition.is_open:
        wanted = f"{edition.num_synsets:,} synsets of {edition.name}"
        return [_accept(where, wanted, f"{len(wnids):,}", partial)]
    return []


def check_images(
    edition: Edition, split: str, listing: Listing, truth: GroundTruth, partial: bool
) -> list[str]:
    """Check the number of images and labels of val or test.

    Returns:
        Remarks on what `partial` accepted.

    Raises:
        DataError: If a number is wrong, unless `partial`.
    """
    where, wanted, found = listing.where, edition.num_images[split], len(listing.members)
    labels = truth.num_labels.get(split, found)
    if labels != found:
        text = f"{labels:,} lines of ground truth for {found:,} images"
        return [_accept(where, "one label for each image", text, partial)]
    if found != wanted:
        return [_accept(where, f"{wanted:,} {split} images", f"{found:,}", partial)]
    return []


def check_number(edition: Edition, split: str, where: Path, found: int, partial: bool) -> list[str]:
    """Check the number of images of a split; returns and raises as `check_images`."""
    wanted = edition.num_images[split]
    if found == wanted:
        return []
    return [_accept(where, f"{wanted:,} {split} images", f"{found:,}", partial)]


def check_files(where: Path, wanted: str, missing: list[str], partial: bool) -> list[str]:
    """Check that no file is missing, by the numbers in names; else as `check_images`."""
    if not missing:
        return []
    return [_accept(where, wanted, f"all but {examples(missing)}", partial)]


def remark_unlabelled(edition: Edition, labels: Sequence[int]) -> list[str]:
    """Remark how many test images have no label, if the edition's labels are public.

    Args:
        edition: The edition.
        labels: Class index of each test image, -1 unknown.
    """
    num = labels.count(-1)
    if not num or not edition.has_test_labels:
        return []
    return [
        f"{edition.test_ground_truth}: no such file, {num:,} test images without label accepted"
    ]


def _accept(where: Path, wanted: str, found: str, partial: bool) -> str:
    """Refuse a wrong count, or with `partial` return a remark on it."""
    if not partial:
        advice = "download it again, or accept it with --partial"
        raise DataError(mismatch(where, wanted, found, advice))
    return f"{where.name}: {found} instead of {wanted}, accepted"
