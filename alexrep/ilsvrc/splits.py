"""Where each split of an edition lies, in a tar or in a folder, and what is there."""

from collections.abc import Iterable
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives, folders
from alexrep.ilsvrc.archives import Member
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.folders import ClassFile, Listing


def list_splits(raw: Path, edition: Edition) -> tuple[dict[str, Listing], list[str]]:
    """List the tar or the folder of each split that exists; train and val must.

    Returns:
        The listing of each split, in the order of SPLITS, and what is to be said
        about them.

    Raises:
        DataError: If train or val is missing, or one is broken or empty.
    """
    places, remarks = _find(raw, edition)
    for split in ("train", "val"):
        if split not in places:
            raise _absent(raw, edition, split)
    listed = {split: _list(place, split, edition) for split, place in places.items()}
    remarks += [remark for one in listed.values() for remark in one.remarks()]
    return listed, remarks


def first(raw: Path, names: Iterable[str]) -> tuple[Path | None, list[str]]:
    """Return the first of `names` that exists in `raw`, and a remark on each other that does."""
    there = [raw / name for name in names if (raw / name).exists()]
    remarks = [f"{one.name} is not read: {there[0].name} is there too" for one in there[1:]]
    return (there[0] if there else None), remarks


def list_place(place: Path, kind: type[Member] = Member) -> Listing:
    """List the files of a tar, or the images below a folder.

    Raises:
        DataError: If it is broken.
    """
    if place.is_dir():
        return folders.scan(place, kind)
    return Listing(place, archives.members(place))


def _find(raw: Path, edition: Edition) -> tuple[dict[str, Path], list[str]]:
    places, remarks = {}, []
    for split in SPLITS:
        place, said = first(raw, edition.places(split))
        if place:
            places[split] = place
        remarks += said
    if edition.is_open and "val" not in places and "test" in places:
        places["val"] = places.pop("test")
        remarks.append("no val: the images of test are taken for it, and there is no test split")
    elif "test" not in places:
        remarks.append(f"no {edition.archives['test']}: no test split")
    return places, remarks


def _absent(raw: Path, edition: Edition, split: str) -> DataError:
    if edition.archives[split] != split:  # it has a tar
        wanted, advice = edition.archives[split], "put it there; see devkit/"
        return DataError(mismatch(raw, wanted, "no such file", advice))
    if split == "train":
        found, advice = folders.describe(raw)
        return DataError(mismatch(raw, "train/ with class folders", found, advice))
    wanted = "val/ or test/" if edition.is_open else "val/"
    return DataError(mismatch(raw, f"{wanted} beside train/", "no such folder", "put it there"))


def _list(place: Path, split: str, edition: Edition) -> Listing:
    listed = list_place(place, ClassFile if edition.is_open else Member)
    if not listed.members:
        found, advice = "an empty tar", "get it anew"
        if place.is_dir():
            found = f"only {examples(listed.others)}" if listed.others else "none"
            advice = "name the right folder, with its images unpacked"
        raise DataError(mismatch(place, f"{split} images", found, advice))
    return listed
