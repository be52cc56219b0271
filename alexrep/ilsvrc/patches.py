"""Patches: corrected images that replace others or are added to a synset."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import splits
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.member import Member


@dataclass(frozen=True)
class Patches:
    """The corrected images."""

    archive: Path
    by_name: dict[tuple[str, str], Member]
    """Member by (split, file name)."""
    remarks: tuple[str, ...] = ()
    """Remarks on what is skipped."""


def read(raw: Path, edition: Edition) -> Patches | None:
    """List the patches, nested or flat, in their tar or unpacked; None if there are none.

    Raises:
        DataError: If a patch is of no split, or occurs twice.
    """
    names = (edition.patches, edition.patches.removesuffix(".tar"))
    path, remarks = splits.first(raw, filter(None, names))
    if path is None:
        return None
    by_name: dict[tuple[str, str], Member] = {}
    listing = splits.list_archive(path)
    for member in listing.members:
        named = [part for part in PurePosixPath(member.path).parts[:-1] if part in SPLITS]
        if not named:
            found = f"{member.path} outside of them"
            raise DataError(
                mismatch(path, "patches below train, val or test", found, "download it again")
            )
        if (named[-1], member.name) in by_name:
            found = f"{member.path} again"
            raise DataError(mismatch(path, "each patch once", found, "download it again"))
        by_name[named[-1], member.name] = member
    return Patches(path, by_name, (*remarks, *listing.remarks()))


def require(raw: Path, edition: Edition, patches: Patches | None, partial: bool) -> None:
    """Refuse ILSVRC-2010 without its patches, unless `partial`.

    Raises:
        DataError: If they are missing.
    """
    if patches is None and edition.name == "ilsvrc2010" and not partial:
        advice = "put it there, or accept the uncorrected images with --partial"
        raise DataError(mismatch(raw, edition.patches, "no such file", advice))


def pick(patches: Patches | None, split: str, wanted: Callable[[str], bool]) -> dict[str, Member]:
    """Return the patches of a split that `wanted` accepts, by file name."""
    if patches is None:
        return {}
    return {
        name: member
        for (patch_split, name), member in patches.by_name.items()
        if patch_split == split and wanted(name)
    }


def check_unused(
    patches: Patches | None,
    used: Iterable[tuple[str, str]],
    partial: bool,
    wanted: Collection[str] = SPLITS,
) -> list[str]:
    """Refuse patches that no unit uses, or with `partial` remark on them.

    Args:
        patches: All patches.
        used: Split and name of each patch that a unit uses.
        partial: Whether fewer images than the edition has are accepted.
        wanted: The splits that are read; patches of others are not looked at.

    Returns:
        A remark on the unused patches, if there are any.

    Raises:
        DataError: If there are unused patches, unless `partial`; they are named.
    """
    if patches is None:
        return []
    idle = [key for key in patches.by_name.keys() - set(used) if key[0] in wanted]
    unused = sorted(f"{split}/{name}" for split, name in idle)
    if unused and not partial:
        advice = "put the archives of the same edition together"
        raise DataError(mismatch(patches.archive, "a use for each patch", examples(unused), advice))
    left_out = f"{len(unused):,} patches of images that are not here: {examples(unused)}"
    return [f"{patches.archive}: left out {left_out}"] if unused else []
