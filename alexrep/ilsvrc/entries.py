"""The images of a unit, checked against what the unit should hold, and where their bytes lie."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives
from alexrep.ilsvrc.folders import WNID_PREFIX
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.unit import Unit, train_members


class Entry(NamedTuple):
    """An image of a unit, and where its bytes lie."""

    name: str
    """File name as distributed."""
    label: int
    """Class index; -1 if labels are not public."""
    archive: Path
    """A tar, or a folder."""
    member: Member
    patched: str
    """"added" or "replaced" if it comes from a patch."""

    def read(self) -> bytes:
        """Return its bytes; see `archives.read`."""
        return archives.read(self.archive, self.member)


def entries(unit: Unit) -> list[Entry]:
    """List the images of a unit in order of names, patches among them.

    Raises:
        DataError: If an image is there twice, is of another synset, or their number is wrong.
    """
    is_train = unit.split == "train"
    listed = train_members(unit) if is_train else list(unit.members)
    labels = unit.labels * len(listed) if is_train else unit.labels
    members = {member.name: (member, label) for member, label in zip(listed, labels, strict=True)}
    counts = Counter(member.name for member in listed)
    duplicates = sorted(name for name, count in counts.items() if count > 1)
    if duplicates:
        advice = "download the tar again"
        raise DataError(
            mismatch(unit.name, "each image once", f"{examples(duplicates)} twice", advice)
        )
    if is_train:
        _refuse_foreign(unit, list(members))
    patched = {name: "replaced" if name in members else "added" for name in unit.patches}
    for name, patch in unit.patches.items():
        members[name] = (patch, members[name][1] if name in members else unit.labels[0])
    # Patches may add images to those the devkit counts.
    _check_count(unit, len(listed) if unit.is_partial else len(members))
    found = []
    for name in sorted(members):
        member, label = members[name]
        archive = unit.patch_archive if name in patched and unit.patch_archive else unit.archive
        found.append(Entry(name, label, archive, member, patched.get(name, "")))
    return found


def _refuse_foreign(unit: Unit, names: list[str]) -> None:
    """Refuse an image whose name is of another synset than the tar it lies in.

    Only in a set with a devkit: elsewhere, names need not begin with the synset.

    Source: the readmes of the devkits of 2010 and 2012, images are <wnid>_<number>.JPEG.
    """
    wnid = unit.name.removeprefix("train/")
    foreign = sorted(
        name for name in names if WNID_PREFIX.match(name) and not name.startswith(f"{wnid}_")
    )
    if foreign and unit.num_expected is not None:
        wanted, advice = f"images named {wnid}_*", "download the tar again"
        raise DataError(mismatch(unit.name, wanted, examples(foreign), advice))


def _check_count(unit: Unit, count: int) -> None:
    """Refuse a count that differs from the devkit's; a partial unit may have fewer."""
    wanted = unit.num_expected
    if wanted is None or count == wanted or (unit.is_partial and count < wanted):
        return
    expected = f"{'at most ' if unit.is_partial else ''}{wanted:,} images"
    advice = "download the tar again" + ("" if count > wanted else ", or accept it with --partial")
    raise DataError(mismatch(unit.name, expected, f"{count:,}", advice))
