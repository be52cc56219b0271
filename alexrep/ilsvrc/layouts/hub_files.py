"""A hub's compressed tars, unpacked: flat folders of names that end in the wnid of the image.

train/n01440764_10026_n01440764.JPEG      also train_images_0/ to 4, or train_images/
val/ILSVRC2012_val_00000293_n01440764.JPEG
test/ILSVRC2012_test_00000001.JPEG
"""

import dataclasses
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import class_lists, folders, original_names
from alexrep.ilsvrc.assemble import as_found, as_open, assemble
from alexrep.ilsvrc.editions import EDITIONS as KNOWN
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.unit import Source

EDITIONS = ("ilsvrc2012",)
"""Names of the editions in this form."""
LISTS = ("classes",)
"""Lists that a user may name for what this form may lack."""
_FIRST = 20
"""Names that are looked at."""


@dataclass(frozen=True, slots=True)
class HubFile(Member):
    """A file under the name that a hub gave it."""

    @property
    def name(self) -> str:
        """The original name."""
        return original_names.of_hub(self.path)[0]


def recognise(folder: Path) -> Edition | None:
    """See `Layout`: by the first names in a folder of train."""
    places = _places(folder).get("train", [])
    return KNOWN["ilsvrc2012"] if places and _has_hub_names(places[0]) else None


def survey(request: Request) -> Source:
    """See `Layout`."""
    folder, places = request.folder, _places(request.folder)
    if not request.own_val:
        places.pop("val", None)
    for split in ("train", "val") if request.own_val else ("train",):
        if split not in places:
            advice = "put it there, too"
            raise DataError(mismatch(folder, f"{split}/", "no such folder", advice))
    listed = {split: _list(folder, split, places[split]) for split in SPLITS if split in places}
    remarks = [remark for listing in listed.values() for remark in listing.remarks()]
    of_wnid: dict[str, list[Member]] = {}
    for member in listed["train"].members:
        of_wnid.setdefault(original_names.of_hub(member.path)[1], []).append(member)
    if "" in of_wnid:
        found = examples([member.path for member in of_wnid[""]])
        wanted, advice = "names that end in a wnid", "remove the others"
        raise DataError(mismatch(folder, wanted, found, advice))
    words = dict.fromkeys(sorted(of_wnid), "")
    edition, classes = class_lists.choose(folder, request.classes, words)
    ranks = classes.index_of_wnid

    def label(split: str, member: Member) -> int:
        wnid = original_names.of_hub(member.path)[1]
        if wnid not in ranks and (wnid or split != "test"):
            wanted = "a name that ends in the wnid of a class"
            raise DataError(mismatch(member.path, wanted, wnid or "none", "remove it"))
        return ranks.get(wnid, -1)

    edition = as_found(dataclasses.replace(edition, patches="", has_test_labels=False), listed)
    edition = as_open(edition, listed)
    if "test" not in listed:
        remarks.append("no test/: no test split")
    return assemble(request, edition, listed, of_wnid, GroundTruth(classes, label), remarks)


def _places(folder: Path) -> dict[str, list[Path]]:
    """Return the folders of each split, in the folder or in data/ there."""
    for top in (folder, folder / "data"):
        names = {s: [top / s, *sorted(top.glob(f"{s}_images*"))] for s in SPLITS}
        names["val"] += [top / "validation"]
        found = {s: [path for path in paths if path.is_dir()] for s, paths in names.items()}
        if found["train"]:
            return {split: paths for split, paths in found.items() if paths}
    return {}


def _has_hub_names(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, _FIRST)]
    return any(original_names.of_hub(name)[1] for name in names)


def _list(folder: Path, split: str, places: list[Path]) -> Listing:
    """List the images of a split with their paths below the folder."""
    whole = Listing(folder, [], part=split)
    for place in places:
        start, own = place.relative_to(folder).as_posix(), folders.scan(place, HubFile)
        whole.members.extend(
            dataclasses.replace(member, path=f"{start}/{member.path}") for member in own.members
        )
        whole.others.extend(own.others)
        whole.empty.extend(own.empty)
    return whole
