"""Units of work (a class of train, a range of val or test), and the source that they make up."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import archives
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import Edition
from alexrep.ilsvrc.member import Member


class Original(NamedTuple):
    """An image as distributed."""

    name: str
    """Its original file name."""
    label: int
    """Class index, -1 unknown."""
    content: bytes
    """The bytes of its file."""


@dataclass(frozen=True)
class Unit:
    """A unit of work: a class of train, or up to 1,000 images; or a part of a mixed archive."""

    name: str
    """Such as train/n01440764 or val/00000; also the stem of its outputs."""
    archive: Path
    """A tar, or a folder."""
    members: tuple[Member, ...]
    """The images; if nested the class's tar, which is listed when it is prepared."""
    labels: tuple[int, ...]
    """Class index of each image, -1 unknown; for train, unless mixed, a single index for all."""
    patches: dict[str, Member] = field(default_factory=dict)
    """Replacements by file name; for train additions, too."""
    patch_archive: Path | None = None
    num_expected: int | None = None
    """Number of images according to the devkit; None if it does not say."""
    is_partial: bool = False
    """Whether fewer images are accepted."""
    is_nested: bool = False
    """Whether the images lie in a tar inside the archive."""
    reader: "Callable[[Unit], Iterator[Original]] | None" = None
    """Reads the images of a mixed unit, of any classes in any order; see `is_mixed`."""
    num_guessed: int = 0
    """Number of images to expect in a mixed unit whose members are not known before."""

    @property
    def is_mixed(self) -> bool:
        """Whether it holds images of any classes, as the archive happens to have them together."""
        return self.reader is not None

    @property
    def split(self) -> str:
        """The split it belongs to."""
        return self.name.split("/")[0]

    @property
    def num_images(self) -> int:
        """The number of its images; of a nested tar, that of the devkit, 0 if it does not say."""
        if self.is_nested:
            return self.num_expected or 0
        if self.is_mixed and not self.members:
            return self.num_guessed
        return len({*(member.name for member in self.members), *self.patches})

    @property
    def label_of(self) -> dict[str, int]:
        """The label of each image by its name; of those that patches add to train, too."""
        names = [member.name for member in self.members]
        if self.split == "train" and not self.is_mixed:
            return dict.fromkeys((*names, *self.patches), self.labels[0])
        return dict(zip(names, self.labels, strict=True))

    def listed(self) -> "Unit":
        """Return a unit of train with its images as members, also if they lie in a nested tar.

        Raises:
            DataError: If the nested tar is broken or empty.
        """
        members = tuple(train_members(self))
        return replace(self, members=members, is_nested=False, num_expected=None)

    def cut(self, name: str, label_of: Mapping[str, int]) -> "Unit":
        """Return a unit of another name, with some of the images, under new labels.

        Args:
            name: Its name; it may be of another split.
            label_of: The new label of each image that stays, by its name; not empty.
        """
        members = tuple(member for member in self.members if member.name in label_of)
        labels = tuple(label_of[member.name] for member in members)
        if name.startswith("train/") and not self.is_mixed:
            labels = (next(iter(label_of.values())),)
        patches = {name: patch for name, patch in self.patches.items() if name in label_of}
        return replace(self, name=name, members=members, labels=labels, patches=patches)


def read_members(unit: Unit) -> Iterator[Original]:
    """Read the members of a mixed unit one by one, in their order."""
    with archives.reader(unit.archive) as read:
        for member, label in zip(unit.members, unit.labels, strict=True):
            yield Original(member.name, label, read(member))


def train_members(unit: Unit) -> list[Member]:
    """List the images of a train unit: its files, or the members of its nested tar.

    Raises:
        DataError: If the nested tar is broken or empty; the message names it.
    """
    if not unit.is_nested:
        return list(unit.members)
    tar = unit.members[0]
    try:
        listed = archives.members(unit.archive, tar.offset, tar.size)
    except DataError as error:
        raise DataError(f"{tar.path} in {error}") from None
    if not listed:
        where = f"{tar.path} in {unit.archive}"
        raise DataError(mismatch(where, "images", "an empty tar", "download it again"))
    return listed


@dataclass(frozen=True)
class Source:
    """A surveyed folder of originals."""

    edition: Edition
    """The edition, with the archives' names as found, and for class folders their counts."""
    classes: ClassTable
    units: tuple[Unit, ...]
    digests: dict[str, str]
    """Size and index digest of each archive."""
    remarks: tuple[str, ...]
    """Remarks on what is missing or skipped, and was accepted."""
    settings: dict[str, JsonValue] = field(default_factory=dict)
    """What was asked for where it is a selection; see `selection`."""
    seed: int | None = None
    """Seed of the selection."""
    details: dict[str, JsonValue] = field(default_factory=dict)
    """What the manifest is to say of the selection."""

    @property
    def is_mixed(self) -> bool:
        """Whether units of train hold images of several classes."""
        return any(unit.is_mixed for unit in self.units)

    @property
    def is_listed(self) -> bool:
        """Whether the names of all images, or of their tars, are known before they are read."""
        return all(unit.members or unit.patches for unit in self.units)
