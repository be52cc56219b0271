"""Finds and lists the tar or folder of each split of an edition."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives, folders
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.folders import ClassFile, Listing
from alexrep.ilsvrc.member import Member


def of_name(word: str) -> str:
    """Return the split that a file calls `train`, `val`, `validation` or `test`."""
    return "val" if word.startswith("val") else word


def named(folder: Path, glob: str, name: re.Pattern[str]) -> dict[str, list[Path]]:
    """Return the files of each split in a folder, in the order of their names.

    Args:
        folder: The folder.
        glob: Shell pattern of names that are looked at.
        name: What the whole name must be; its first group is what `of_name` takes.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(glob)):
        if match := name.fullmatch(path.name):
            found.setdefault(of_name(match[1]), []).append(path)
    return {split: found[split] for split in SPLITS if split in found}


def named_below(folder: Path, glob: str, name: re.Pattern[str]) -> dict[str, list[Path]]:
    """Do as `named` does, for a folder or else for data/ in it."""
    return named(folder, glob, name) or named(folder / "data", glob, name)


def list_splits(
    raw: Path, edition: Edition, wanted: Sequence[str] = SPLITS
) -> tuple[dict[str, Listing], list[str]]:
    """List the tar or folder of each split that exists; train and val are required.

    Class folders need no train where val, or test, is there: such data is for evaluation.

    Args:
        raw: Folder with the archives, or with folders of images instead.
        edition: The edition that the folder holds.
        wanted: Splits to list; others are neither required nor listed. A test split is required
            where it is the only one.

    Returns:
        The listing of each split, in the order of SPLITS, and remarks.

    Raises:
        DataError: If a split that is required is missing, or one is broken or empty.
    """
    paths, remarks = _find(raw, edition, wanted)
    is_for_evaluation = edition.is_open and "val" in paths and "train" not in paths
    for split in required(wanted):
        if split not in paths and not is_for_evaluation:
            raise _absent(raw, edition, split)
    if is_for_evaluation:
        remarks.append(f"no {edition.archives['train']}: for evaluation, not for training")
    listed = {split: _list(path, split, edition) for split, path in paths.items()}
    remarks += [remark for listing in listed.values() for remark in listing.remarks()]
    return listed, remarks


def required(wanted: Sequence[str]) -> Sequence[str]:
    """Return the splits that must be there of those that are read: test only where it is alone."""
    return [split for split in wanted if split != "test"] or wanted


def first(raw: Path, names: Iterable[str]) -> tuple[Path | None, list[str]]:
    """Return the first of `names` that exists in `raw`, and a remark on each other that exists."""
    paths = [raw / name for name in names if (raw / name).exists()]
    remarks = [f"{path.name} is not read: {paths[0].name} is there too" for path in paths[1:]]
    return (paths[0] if paths else None), remarks


def list_archive(archive: Path, kind: type[Member] = Member) -> Listing:
    """List the files of a tar, or the images below a folder.

    Raises:
        DataError: If it is broken.
    """
    if archive.is_dir():
        return folders.scan(archive, kind)
    others: list[str] = []
    return Listing(archive, archives.members(archive, others=others), others)


def _find(raw: Path, edition: Edition, wanted: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    paths, remarks = {}, []
    for split in wanted:
        path, others = first(raw, edition.names(split))
        if path:
            paths[split] = path
        remarks += others
    if "val" in wanted and edition.is_open and "val" not in paths and "test" in paths:
        paths["val"] = paths.pop("test")
        remarks.append("no val: the images of test are taken for it, and there is no test split")
    elif "test" in wanted and "test" not in paths:
        remarks.append(f"no {edition.archives['test']}: no test split")
    return paths, remarks


def _absent(raw: Path, edition: Edition, split: str) -> DataError:
    if edition.archives[split] != split:  # it has a tar
        wanted, advice = edition.archives[split], "put it there; see devkit/"
        near = sorted(path.name for path in raw.glob(f"{wanted.removesuffix('.tar')}*"))
        found = f"only {examples(near)}" if near else "no such file"
        return DataError(mismatch(raw, wanted, found, advice))
    if split == "train":
        found, advice = folders.describe(raw)
        return DataError(mismatch(raw, "train/ with class folders", found, advice))
    if split == "test":
        return DataError(mismatch(raw, "test/", "no such folder", "put it there"))
    wanted = "val/ or test/" if edition.is_open else "val/"
    advice = "put it there, or take val from train: alexrep shrink --val-fraction 0.1"
    return DataError(mismatch(raw, f"{wanted} beside train/", "no such folder", advice))


def _list(archive: Path, split: str, edition: Edition) -> Listing:
    listed = list_archive(archive, ClassFile if edition.is_open else Member)
    if not listed.members:
        found, advice = "an empty tar", "download it again"
        if archive.is_dir():
            found = f"only {examples(listed.others)}" if listed.others else "none"
            advice = "name the right folder, with its images unpacked"
        raise DataError(mismatch(archive, f"{split} images", found, advice))
    return listed
