"""ImageNet as Kaggle hands it out: a tree or its zip, labels of val in a CSV, no devkit.

LOC_val_solution.csv                      name and class of each val image
LOC_synset_mapping.txt                    wnid and words of each class
ILSVRC/Data/CLS-LOC/train/<wnid>/*.JPEG
ILSVRC/Data/CLS-LOC/{val,test}/*.JPEG
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import archives, class_lists, folders, label_lists, original_names, splits, zips
from alexrep.ilsvrc.assemble import as_found, as_open, assemble
from alexrep.ilsvrc.editions import EDITIONS as KNOWN
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member, is_passed_over
from alexrep.ilsvrc.unit import Source

EDITIONS = ("ilsvrc2012",)
"""Names of the editions in this form."""
LISTS = ("classes",)
"""Lists that a user may name for what this form may lack."""
SOLUTION = "LOC_val_solution.csv"
MAPPING = "LOC_synset_mapping.txt"

Text = Callable[[str], bytes | None]
"""Returns the bytes of one of the lists; None if there is none."""


def recognise(folder: Path) -> Edition | None:
    """See `Layout`: by the list of val labels near train/, or in a zip."""
    is_tree = (folder / "train").is_dir() and _text_near(folder, SOLUTION) is not None
    return KNOWN["ilsvrc2012"] if is_tree or next(_zips(folder), None) is not None else None


def survey(request: Request) -> Source:
    """See `Layout`."""
    folder, archive = request.folder, next(_zips(request.folder), None)
    if archive is None or (folder / "train").is_dir():
        archive, listed = None, _in_tree(folder)
        text: Text = functools.partial(_text_near, folder)
    else:
        listed, text = _in_zip(archive)
    listed = {split: listing for split, listing in listed.items() if split in request.wanted}
    _require(archive or folder, listed, splits.required(request.wanted))
    words = class_lists.parse(text(MAPPING) or b"", MAPPING) if text(MAPPING) else {}
    edition, classes = class_lists.choose(folder, request.classes, words)
    labels = label_lists.parse(text(SOLUTION) or b"", SOLUTION)
    truth = label_lists.truth(classes, labels, SOLUTION)
    edition = dataclasses.replace(edition, patches="", test_ground_truth="", has_test_labels=False)
    edition = as_open(as_found(edition, listed), listed)
    remarks = [remark for listing in listed.values() for remark in listing.remarks()]
    if "test" in request.wanted and "test" not in listed:
        remarks.append("no test/: no test split")
    of_wnid = folders.by_class(listed["train"]) if "train" in listed else {}
    _require_own_folders(archive or folder / "train", of_wnid)
    return assemble(request, edition, listed, of_wnid, truth, remarks)


def _require(where: Path, listed: dict[str, Listing], required: Sequence[str]) -> None:
    for split in required:
        if split not in listed or not listed[split].members:
            advice = "download it again" if where.is_file() else "unpack it all"
            raise DataError(mismatch(where, f"images below {split}/", "none", advice))


def _require_own_folders(where: Path, of_wnid: Mapping[str, list[Member]]) -> None:
    """Refuse an image whose name has another wnid than its folder: its label would be wrong."""
    for wnid, members in of_wnid.items():
        for member in members:
            named = original_names.wnid_within(member.name)
            if named not in ("", wnid):
                wanted, advice = f"images of {wnid} in its folder", f"move it to {named}/"
                raise DataError(mismatch(where, wanted, member.path, advice))


def _in_tree(folder: Path) -> dict[str, Listing]:
    return {s: folders.scan(folder / s) for s in SPLITS if (folder / s).is_dir()}


def _text_near(folder: Path, name: str) -> bytes | None:
    near = (top / name for top in class_lists.tops(folder))
    return next((files.read_bytes(path) for path in near if path.is_file()), None)


def _zips(folder: Path) -> Iterator[Path]:
    """Yield the zips whose first member is one of Kaggle's."""
    for path in sorted(folder.glob("*.zip")):
        with files.named(path), path.open("rb") as stream:
            name = stream.read(60)[30:]
        if name.startswith((f"{class_lists.TOP[0]}/".encode(), b"LOC_")):
            yield path


def _in_zip(archive: Path) -> tuple[dict[str, Listing], Text]:
    """List the images of each split, with paths below its folder, and find the lists."""
    listed = {split: Listing(archive, [], part=f"{archive.name}/{split}") for split in SPLITS}
    lists: dict[str, Member] = {}
    start = "/".join(class_lists.TOP) + "/"
    for member in zips.members(archive):
        split, _, path = member.path.removeprefix(start).partition("/")
        if member.path.startswith(start) and split in listed:
            if is_passed_over(path) or not path.lower().endswith(folders.SUFFIXES):
                listed[split].others.append(path)
            else:
                listed[split].members.append(dataclasses.replace(member, path=path))
        elif member.path in (SOLUTION, MAPPING):
            lists[member.path] = member
    for listing in listed.values():
        listing.members.sort(key=lambda member: member.path)

    def text(name: str) -> bytes | None:
        return archives.read(archive, lists[name]) if name in lists else None

    return {split: listing for split, listing in listed.items() if listing.members}, text
