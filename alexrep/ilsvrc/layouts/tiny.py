"""Tiny ImageNet as distributed: wnids.txt, words.txt, and the annotations of val."""

from collections.abc import Mapping
from pathlib import Path

from alexrep import files, system
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import folders, ground_truth, splits
from alexrep.ilsvrc.assemble import as_found, assemble
from alexrep.ilsvrc.classes import of_leaves
from alexrep.ilsvrc.editions import TINY, Edition
from alexrep.ilsvrc.ground_truth import GroundTruth
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.unit import Source

EDITIONS = (TINY.name,)
"""Names of the editions in this form."""
LISTS: tuple[str, ...] = ()
"""Lists that a user may name for what this form may lack."""
NUM_TRAIN = 500
"""Training images of each class."""


def recognise(folder: Path) -> Edition | None:
    """See `Layout`."""
    is_there = (folder / "train").is_dir() and (folder / TINY.devkit).exists()
    return TINY if is_there else None


def survey(request: Request) -> Source:
    """See `Layout`."""
    folder = request.folder
    listed, remarks = splits.list_splits(folder, request.edition, request.wanted)
    edition, truth = as_found(request.edition, listed), _ground_truth(folder)
    train = listed.get("train")
    of_wnid = folders.by_class(train, edition.inner) if train else {}
    return assemble(request, edition, listed, of_wnid, truth, remarks)


def _ground_truth(raw: Path) -> GroundTruth:
    """Read classes and val labels; a class's id is its line in wnids.txt, from 1.

    Raises:
        DataError: If a file is missing, or a label is not of a class.
    """
    wnids = [fields[0] for fields in _lines(raw / "wnids.txt", 1)]
    words = {fields[0]: fields[1] for fields in _lines(raw / "words.txt", 2)}
    annotations = raw / "val" / "val_annotations.txt"
    # Who sorts val into folders often removes them.
    is_sorted = not annotations.exists() and any((raw / "val" / wnid).is_dir() for wnid in wnids)
    rows = [] if is_sorted else _lines(annotations, 2)
    wnid_of_name = {fields[0]: fields[1] for fields in rows}
    classes = of_leaves(
        [(wnid, line, words.get(wnid, wnid), NUM_TRAIN) for line, wnid in enumerate(wnids, 1)]
    )
    foreign = sorted(set(wnid_of_name.values()) - set(wnids))
    if foreign:
        raise DataError(
            mismatch(annotations, "wnids of wnids.txt", foreign[0], "download it again")
        )
    index_of_wnid = classes.index_of_wnid
    labels = {name: index_of_wnid[wnid] for name, wnid in wnid_of_name.items()}

    def label(split: str, member: Member) -> int:
        of_folder = index_of_wnid.get(folders.class_of(member.path), -1)
        if split != "val" or is_sorted:
            return of_folder
        return _label(labels, annotations, member, of_folder)

    digests = {"val labels": ground_truth.digest(sorted(labels.items()))}
    return GroundTruth(classes, label, {} if is_sorted else {"val": len(labels)}, digests)


def _label(labels: Mapping[str, int], annotations: Path, member: Member, of_folder: int) -> int:
    """Return the label in the annotations, with which a class folder must agree."""
    if member.name not in labels:
        wanted = f"a line for {member.name}"
        raise DataError(mismatch(annotations, wanted, "none", "download it again"))
    if of_folder not in (-1, labels[member.name]):
        wanted, found = "the class of each folder of val", f"another for {member.path}"
        raise DataError(mismatch(annotations, wanted, found, "sort val into folders again"))
    return labels[member.name]


def _lines(path: Path, num: int) -> list[list[str]]:
    """Read lines of at least `num` fields."""
    try:
        rows = [
            line.split("\t") for line in files.read_text(path, "utf-8-sig").splitlines() if line
        ]
    except (OSError, ValueError) as error:
        system.require_sound_disk(error, path)
        raise DataError(mismatch(path, "a text file", error, "download it again")) from None
    short = next((row for row in rows if len(row) < num), None)
    if short or not rows:
        found = repr(short) if short else "none"
        raise DataError(mismatch(path, f"lines of {num} fields", found, "download it again"))
    return rows
