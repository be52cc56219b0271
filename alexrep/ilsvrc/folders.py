"""Images as files in folders: what is there, what is passed over, which class each is of."""

import itertools
import os
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc.archives import Member
from alexrep.ilsvrc.classes import ClassTable, Synset

SUFFIXES = (".jpeg", ".jpg", ".png")
"""Ends of the names of images, in small letters."""
DEPTH = 4
"""Folders above an image at most; unpacked patches have patch_images/train/<wnid> in a folder."""


@dataclass(frozen=True, slots=True)
class ClassFile(Member):
    """A file whose name may occur in other class folders too, so that its class is part of it."""

    @property
    def name(self) -> str:
        """Its path below the folder of the split."""
        return self.path


@dataclass(frozen=True)
class Listing:
    """The images of a split as they lie, in a tar or below a folder."""

    where: Path
    members: list[Member]
    others: list[str] = field(default_factory=list)
    """What is passed over below a folder: hidden, or no image by its name."""
    empty: list[str] = field(default_factory=list)
    """Folders with nothing in them."""

    def remarks(self) -> list[str]:
        """Say what is passed over."""
        said = []
        if self.others:
            named = f"hidden or no images by their names: {examples(self.others)}"
            said.append(f"{self.where.name}: {len(self.others):,} passed over, {named}")
        if self.empty:
            named = examples(self.empty)
            said.append(f"{self.where.name}: {len(self.empty):,} empty folders: {named}")
        return said


def scan(folder: Path, kind: type[Member] = Member) -> Listing:
    """List the images below a folder in the order of their paths; links are followed.

    Nothing is opened: a million files take seconds.

    Raises:
        DataError: If a folder cannot be read or lies too deep, or an image is no
            regular file or has a name that cannot be written.
    """
    found = Listing(folder, [], [], [])
    pending = [""]
    while pending:
        inside = pending.pop()
        try:
            pending += _visit(found, inside, kind)
        except OSError as error:
            where, advice = error.filename or folder, "change its permissions or remove it"
            raise DataError(mismatch(where, "a readable place", error.strerror, advice)) from None
    found.members.sort(key=attrgetter("path"))
    found.others.sort()
    found.empty.sort()
    return found


def _visit(found: Listing, inside: str, kind: type[Member]) -> list[str]:
    """Note what is in one folder; return the folders in it."""
    if not inside.isprintable():
        raise _refused(found.where, inside, "a name that cannot be written")
    if inside.count("/") >= DEPTH:
        wanted = f"images under at most {DEPTH} folders"
        message = mismatch(found.where, wanted, f"the folder {inside}", "name the right folder")
        raise DataError(message)
    below, is_empty = [], True
    with os.scandir(found.where / inside) as entries:
        for entry in entries:
            path, is_empty = inside + entry.name, False
            is_hidden = entry.name.startswith(".")
            if entry.is_dir() and not is_hidden:
                below.append(f"{path}/")
            elif entry.name.lower().endswith(SUFFIXES) and not is_hidden:
                found.members.append(_image(found.where, path, entry, kind))
            else:
                found.others.append(path if path.isprintable() else ascii(path))
    if is_empty and inside:
        found.empty.append(inside)
    return below


def _image(folder: Path, path: str, entry: os.DirEntry[str], kind: type[Member]) -> Member:
    if not path.isprintable():
        raise _refused(folder, path, "a name that cannot be written")
    if not entry.is_file():
        raise _refused(folder, path, "a device or a link to nothing")
    facts = entry.stat()
    return kind(path, 0, facts.st_size, int(facts.st_mtime))


def _refused(folder: Path, path: str, found: str) -> DataError:
    return DataError(mismatch(f"{folder}: {path!a}", "a plain file", found, "remove it"))


def by_class(listing: Listing, inner: str = "") -> dict[str, list[Member]]:
    """Group images that lie as <class>/<name>, or as <class>/<inner>/<name>.

    Raises:
        DataError: If one lies elsewhere.
    """
    groups: dict[str, list[Member]] = {}
    strays = []
    for member in listing.members:
        parent, _, _ = member.path.rpartition("/")
        wnid = parent.removesuffix(f"/{inner}") if inner else parent
        if not wnid or "/" in wnid or (inner and wnid == parent):
            strays.append(member.path)
        groups.setdefault(wnid, []).append(member)
    if strays:
        form = "/".join(filter(None, ("<class>", inner, "<image>")))
        raise DataError(
            mismatch(listing.where, f"images as {form}", examples(strays), "sort them into folders")
        )
    return groups


def class_table(train: Listing) -> ClassTable:
    """Make the classes of the sorted names of the class folders: id is rank plus 1.

    Raises:
        DataError: If there are fewer than two, or one has no image.
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
    ranked = enumerate(sorted(groups))
    # No kit promises a number of images, and a part of the set has the same classes.
    return ClassTable(tuple(Synset(index, name, index + 1, name, 0) for index, name in ranked))


def describe(raw: Path) -> tuple[str, str]:
    """Say what a folder without train/ holds instead, and what to do."""
    inside = sorted(path.name for path in raw.iterdir() if path.is_dir())
    below = [name for name in inside if (raw / name / "train").is_dir()]
    if below:
        return f"it in {below[0]}/", f"name {raw / below[0]}"
    held = [name for name in inside if _holds_images(raw / name)]
    if held or _holds_images(raw):
        found = f"class folders ({examples(held)})" if held else "images in no folder"
        return found, "name the folder that has train/ in it"
    return "neither", "put one edition's tars there; see devkit/"


def _holds_images(folder: Path) -> bool:
    """Look at the first names only."""
    with os.scandir(folder) as entries:
        names = [entry.name.lower() for entry in itertools.islice(entries, 100)]
    return any(name.endswith(SUFFIXES) for name in names)
