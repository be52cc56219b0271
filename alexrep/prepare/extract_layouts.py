"""Layouts in which prepared images are exported as files: class folders, or Tiny ImageNet's."""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import Prepared

UNLABELLED = "unlabelled"
"""Folder of images whose labels are not public."""


class Layout(Protocol):
    """Where each prepared image lies, relative to the folder of the export."""

    def path(self, unit: str, position: int, verdict: Verdict) -> str:
        """Return the path of the image at a position in its unit, quarantined ones not counted."""

    def lists(self) -> dict[str, str]:
        """Return the content of the files that list classes and labels, by path."""


def folder_path(split: str, wnid: str | None, name: str) -> str:
    """Return the path of an image in class folders; None if its label is not public."""
    folder = wnid or UNLABELLED
    # In a group, images of two folders may have the same name.
    return str(PurePosixPath(split, folder, name.removeprefix(f"{folder}/").replace("/", "_")))


@dataclass(frozen=True)
class ClassFolders:
    """<split>/<wnid>/<name>, with the names as distributed."""

    wnids: tuple[str, ...]

    def path(self, unit: str, position: int, verdict: Verdict) -> str:
        """See `Layout`; names that came in class folders begin with the folder."""
        del position
        wnid = self.wnids[verdict.label] if verdict.label >= 0 else None
        return folder_path(unit.split("/", 1)[0], wnid, verdict.name)

    def lists(self) -> dict[str, str]:
        """See `Layout`: there are none."""
        return {}


@dataclass(frozen=True)
class TinyImageNet:
    """The layout of Tiny ImageNet, without boxes, which nothing here knows.

    train/<wnid>/images/<wnid>_0.JPEG, val/images/val_0.JPEG, test/images/test_0.JPEG and so on,
    numbered in the order of the units.
    """

    wnids: tuple[str, ...]
    words: tuple[str, ...]
    numbers: Mapping[str, Sequence[int]]
    """Number of each image, by unit."""
    annotations: str
    """Name and wnid of each image of val."""

    def path(self, unit: str, position: int, verdict: Verdict) -> str:
        """See `Layout`."""
        split, number = unit.split("/", 1)[0], self.numbers[unit][position]
        if split != "train":
            return f"{split}/images/{split}_{number}.JPEG"
        wnid = self.wnids[verdict.label]
        return f"train/{wnid}/images/{wnid}_{number}.JPEG"

    def lists(self) -> dict[str, str]:
        """See `Layout`."""
        words = zip(self.wnids, self.words, strict=True)
        return {
            "wnids.txt": "".join(f"{wnid}\n" for wnid in self.wnids),
            "words.txt": "".join(f"{wnid}\t{text}\n" for wnid, text in words),
            "val/val_annotations.txt": self.annotations,
        }


def class_folders(prepared: Prepared) -> ClassFolders:
    """Return the layout of class folders."""
    return ClassFolders(tuple(synset.wnid for synset in prepared.classes.synsets))


def tiny(prepared: Prepared) -> TinyImageNet:
    """Return the layout of Tiny ImageNet; reads the verdicts of all images.

    Raises:
        DataError: If a record of the images is missing or broken.
    """
    synsets = prepared.classes.synsets
    seen: Counter[str | int] = Counter()
    numbers, lines = {}, []
    for split in prepared.splits:
        for unit in prepared.units(split):
            own = array("l")
            for verdict in prepared.verdicts(unit):
                counted = verdict.label if split == "train" else split
                own.append(seen[counted])
                seen[counted] += 1
                if split == "val":
                    lines.append(f"val_{own[-1]}.JPEG\t{synsets[verdict.label].wnid}\n")
            numbers[unit] = own
    wnids = tuple(synset.wnid for synset in synsets)
    words = tuple(synset.shown_words for synset in synsets)
    return TinyImageNet(wnids, words, numbers, "".join(lines))


LAYOUTS: dict[str, Callable[[Prepared], Layout]] = {"folders": class_folders, "tiny": tiny}
"""By the name on the command line."""
