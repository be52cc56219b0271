"""Lists images in class folders, and what is skipped there."""

import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc.classes import ClassTable, Synset
from alexrep.ilsvrc.member import Member, is_passed_over
from alexrep.manifest import NAME
from alexrep.system import require_sound_disk

SUFFIXES = (".jpeg", ".jpg", ".png")
"""Suffixes of image files, in lower case."""
WNID_PREFIX = re.compile("(n[0-9]{8})_")
"""Beginning of the names of ILSVRC's training images."""
DEPTH = 4
"""Most folders above an image; unpacked patches are in patch_images/train/<wnid> in a folder."""


@dataclass(frozen=True, slots=True)
class ClassFile(Member):
    """A file named by its path, as its file name may occur in other class folders, too."""

    @property
    def name(self) -> str:
        """The path below the folder of the split."""
        return self.path


@dataclass(frozen=True)
class Listing:
    """The images of a split, in a tar or below a folder."""

    where: Path
    members: list[Member]
    others: list[str] = field(default_factory=list)
    """What is passed over: hidden, or below a folder not an image by the suffix."""
    empty: list[str] = field(default_factory=list)
    """Folders with nothing in them."""
    part: str = ""
    """Name of the part of the archive that has them, if others have the rest."""

    @property
    def name(self) -> str:
        """Name of the archive or the folder."""
        return self.part or self.where.name

    def remarks(self) -> list[str]:
        """Return remarks on what is skipped."""
        remarks = []
        if self.others:
            named = f"hidden or no images by their names: {examples(self.others)}"
            remarks.append(f"{self.name}: {len(self.others):,} passed over, {named}")
        if self.empty:
            named = examples(self.empty)
            remarks.append(f"{self.name}: {len(self.empty):,} empty folders: {named}")
        return remarks


def scan(folder: Path, kind: type[Member] = Member) -> Listing:
    """List the images below a folder in the order of their paths; links are followed.

    No file is opened: a million files take seconds.

    Raises:
        DataError: If a folder cannot be read or is too deep, or an image is no regular file
            or has an unprintable name.
    """
    listing = Listing(folder, [], [], [])
    pending = [""]
    while pending:
        inside = pending.pop()
        try:
            pending += _visit(listing, inside, kind)
        except OSError as error:
            require_sound_disk(error, folder / inside)
            where, advice = error.filename or folder, "change its permissions or remove it"
            raise DataError(mismatch(where, "a readable folder", error.strerror, advice)) from None
    listing.members.sort(key=attrgetter("path"))
    listing.others.sort()
    listing.empty.sort()
    return listing


def _visit(listing: Listing, inside: str, kind: type[Member]) -> list[str]:
    """Add the files of one folder to the listing; return its subfolders."""
    if not inside.isprintable():
        raise _refused(listing.where, inside, "an unprintable name")
    if inside.count("/") >= DEPTH:
        wanted = f"images under at most {DEPTH} folders"
        message = mismatch(listing.where, wanted, f"the folder {inside}", "name the right folder")
        raise DataError(message)
    below, is_empty = [], True
    with os.scandir(listing.where / inside) as entries:
        for entry in entries:
            path, is_empty = inside + entry.name, False
            is_hidden = is_passed_over(entry.name)
            if entry.is_dir() and not is_hidden:
                below.append(f"{path}/")
            elif entry.name.lower().endswith(SUFFIXES) and not is_hidden:
                listing.members.append(_image(listing.where, path, entry, kind))
            else:
                listing.others.append(path if path.isprintable() else ascii(path))
    if is_empty and inside:
        listing.empty.append(inside)
    return below


def _image(folder: Path, path: str, entry: os.DirEntry[str], kind: type[Member]) -> Member:
    if not path.isprintable():
        raise _refused(folder, path, "an unprintable name")
    if not entry.is_file():
        raise _refused(folder, path, "a device or a link to nothing")
    status = entry.stat()
    return kind(path, 0, status.st_size, int(status.st_mtime))


def _refused(folder: Path, path: str, found: str) -> DataError:
    return DataError(mismatch(f"{folder}: {path!a}", "a plain file", found, "remove it"))


def by_class(listing: Listing, inner: str = "") -> dict[str, list[Member]]:
    """Group images that lie as <class>/<name>, as <class>/<inner>/<name>, or as <wnid>_<name>.

    Raises:
        DataError: If an image is at another depth.
    """
    groups: dict[str, list[Member]] = {}
    strays = []
    for member in listing.members:
        wnid = class_of(member.path)
        if not wnid or "/" in wnid or (inner and f"/{inner}/" not in member.path):
            strays.append(member.path)
        groups.setdefault(wnid, []).append(member)
    if strays:
        form = "/".join(filter(None, ("<class>", inner, "<image>")))
        # In a flat val of ILSVRC, only the devkit, or Kaggle's list, knows the classes.
        is_flat = any("_val_" in stray for stray in strays)
        beside = "put the devkit or LOC_val_solution.csv beside it, or name its --labels"
        advice = beside if is_flat else "sort them into folders"
        raise DataError(mismatch(listing.where, f"images as {form}", examples(strays), advice))
    return groups


def class_of(path: str) -> str:
    """Return the folder of an image, of one in no folder the wnid that its name begins with.

    A folder `images` in that of the class, as Tiny ImageNet has it, is none of its own.
    """
    parent, _, name = path.rpartition("/")
    if parent.count("/") == 1:
        parent = parent.removesuffix("/images")
    match = WNID_PREFIX.match(name)
    return parent or (match[1] if match else "")


def class_table(train: Listing) -> ClassTable:
    """Make the class table from the sorted names of the class folders; the id is rank plus 1.

    Raises:
        DataError: If there are fewer than two class folders, or one has no image.
    """
    groups = by_class(train)
    if train.empty:
        found = f"none in {examples(train.empty)}"
        raise DataError(
            mismatch(train.where, "images in each class folder", found, "fill or remove it")
        )
    if len(groups) < 2:
        found = "one, " + "".join(groups) if groups else "none"
        raise DataError(
            mismatch(train.where, "two class folders or more", found, "name the right folder")
        )
    return table_of(groups)


def table_of(names: Iterable[str]) -> ClassTable:
    """Make the class table of the names of classes, in any order and any number."""
    ranked = enumerate(sorted(set(names)))
    # No number of images: there is no devkit, and a subset has the same classes.
    return ClassTable(tuple(Synset(index, name, index + 1, name, 0) for index, name in ranked))


def describe(raw: Path) -> tuple[str, str]:
    """Say what a folder without train/ has instead, and what to do."""
    if (raw / "images" / NAME).is_file():
        return "prepared data", "name the folder of the originals (for these, eval has --data)"
    inside = sorted(path.name for path in raw.iterdir() if path.is_dir())
    classes = [name for name in inside if _has_images(raw / name)]
    if classes or _has_images(raw):
        found = f"class folders ({examples(classes)})" if classes else "images in no folder"
        return found, "name the folder that has train/ in it"
    return "neither", "put one edition's tars there; see devkit/"


def _has_images(folder: Path) -> bool:
    """Look for images among the first 100 names."""
    with os.scandir(folder) as entries:
        names = [entry.name.lower() for entry in itertools.islice(entries, 100)]
    return any(name.endswith(SUFFIXES) for name in names)
