"""Class folders of any data set: train/<class>/*, val/<class>/*."""

import dataclasses
import functools
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import folders, label_lists, splits
from alexrep.ilsvrc.assemble import as_found, assemble
from alexrep.ilsvrc.editions import FOLDER, SPLITS, Edition
from alexrep.ilsvrc.folders import Listing
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.unit import Source

EDITIONS = (FOLDER.name,)
"""Names of the editions in this form."""
LISTS = ("labels",)
"""Lists that a user may name for what this form may lack."""


def recognise(folder: Path) -> Edition | None:
    """See `Layout`."""
    return FOLDER if (folder / "train").is_dir() else None


def survey(request: Request) -> Source:
    """See `Layout`; without train, as in data for evaluation, val has the classes."""
    # Whatever split is needed, the class folders of train name the classes.
    wanted = dataclasses.replace(request, only=None).wanted
    listed, remarks = splits.list_splits(request.folder, request.edition, wanted)
    numbers = {split: len(listed[split].members) if split in listed else 0 for split in SPLITS}
    edition = dataclasses.replace(as_found(request.edition, listed), num_images=numbers)
    if request.labels is not None:
        labels = label_lists.read(request.labels)
        of_wnid = _by_list(listed["train"], labels) if "train" in listed else {}
        classes = folders.table_of(of_wnid or labels.values())
        truth = label_lists.truth(classes, labels, request.labels, folders.class_of)
    else:
        truth = _ground_truth(listed)
        of_wnid = folders.by_class(listed["train"]) if "train" in listed else {}
    return assemble(request, edition, listed, of_wnid, truth, remarks)


def _ground_truth(listed: Mapping[str, Listing]) -> GroundTruth:
    """Take classes and labels from class folders; test images outside of folders have no label.

    Without train, as in data for evaluation, val has the classes.

    Raises:
        DataError: If train has no proper class folders, or another split has other classes.
    """
    classes = folders.class_table(listed.get("train") or listed["val"])
    index_of_wnid = classes.index_of_wnid
    for split in listed.keys() - {"train"}:
        if split == "test" and not any(folders.class_of(m.path) for m in listed[split].members):
            continue
        foreign = sorted(folders.by_class(listed[split]).keys() - index_of_wnid.keys())
        if foreign:
            _refuse_other_forms(foreign[0], index_of_wnid, listed[split].where)
            where, advice = listed[split].where, "add it to train or remove it"
            raise DataError(mismatch(where, "classes of train", examples(foreign), advice))
    return GroundTruth(classes, functools.partial(_label_of_folder, index_of_wnid))


def _label_of_folder(index_of_wnid: Mapping[str, int], _: str, member: Member) -> int:
    wnid = folders.class_of(member.path)
    return index_of_wnid[wnid] if wnid else -1


def _by_list(train: Listing, labels: Mapping[str, str]) -> dict[str, list[Member]]:
    """Group the images of train by their folders, those in none by the list.

    Raises:
        DataError: If an image is in no folder and not on the list.
    """
    of_wnid: dict[str, list[Member]] = {}
    for member in train.members:
        wnid = labels.get(label_lists.stem(member.path)) or folders.class_of(member.path)
        if not wnid:
            found, advice = "none", "list it or remove the image"
            raise DataError(mismatch(train.where, f"a class of {member.path}", found, advice))
        of_wnid.setdefault(wnid, []).append(member)
    return of_wnid


def _refuse_other_forms(name: str, known: Collection[str], where: object) -> None:
    """Say of a class that it is one of train in another spelling of the same letters.

    A Mac writes an accented letter as two characters, other systems as one.
    """
    same = unicodedata.normalize("NFC", name)
    twin = next((wnid for wnid in known if unicodedata.normalize("NFC", wnid) == same), None)
    if twin is not None:
        found = f"{name!a} (the same letters in another Unicode form)"
        raise DataError(
            mismatch(where, f"the class {twin!a}", found, "rename the one as the other")
        )
