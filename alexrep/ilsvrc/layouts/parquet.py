"""A hub's parquet files: data/train-00000-of-00294.parquet, its rows in no order of classes.

Columns are `image`, a struct of `bytes` and `path`, and `label`, the rank of the sorted wnid, -1
in test. The paths are original names, but for the wnid of the image at their end.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.files import sha256_bytes
from alexrep.ilsvrc import assemble, class_lists, counts, original_names, parquet_files, splits
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import EDITIONS as KNOWN
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member, refuse_hostile
from alexrep.ilsvrc.unit import Original, Source, Unit

EDITIONS = ("ilsvrc2012",)
"""Names of the editions in this form."""
LISTS = ("classes",)
"""Lists that a user may name for what this form may lack."""
_NAME = re.compile(r"(train|validation|val|test)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?\.parquet")


@dataclass(frozen=True)
class _Rows:
    """Rows of whole row groups of a file, at most UNIT if a group has no more."""

    split: str
    path: Path
    number: int
    """Rank among those of its file."""
    first: int
    """Index of the first row in the file."""
    names: list[str]
    wnids: list[str]
    """The wnid in each path, "" if it has none."""
    labels: list[int]

    def unit(self) -> Unit:
        """Return the unit of the rows; the offset of a member is its row."""
        numbered = enumerate(self.names, self.first)
        members = tuple(Member(name, row, 0, 0) for row, name in numbered)
        file = self.path.name.split("-")[1]
        name = f"{self.split}/{file}-{self.number:03d}"
        return Unit(name, self.path, members, tuple(self.labels), reader=_read)


def recognise(folder: Path) -> Edition | None:
    """See `Layout`: by the names of the files, in the folder or in data/ there."""
    return KNOWN["ilsvrc2012"] if _files(folder) else None


def survey(request: Request) -> Source:
    """See `Layout`: names and labels of all rows are read, but no image."""
    files, remarks = _files(request.folder), list[str]()
    if not request.own_val:
        files.pop("val", None)
    for split in ("train", "val") if request.own_val else ("train",):
        if split not in files:
            wanted, advice = f"{split}-00000-of-NNNNN.parquet", "download those files, too"
            raise DataError(mismatch(request.folder, wanted, "none", advice))
    for paths in files.values():
        remarks += _require_all(paths, request.partial)
    rows = [part for split in files for path in files[split] for part in _rows(split, path)]
    edition, classes = _classes(request, rows)
    if not any(part.wnids[0] for part in rows if part.split == "train"):
        remarks.append("no wnids in the paths of train: the order of classes was not checked")
    units = tuple(part.unit() for part in rows)
    totals = {s: sum(len(unit.members) for unit in units if unit.split == s) for s in SPLITS}
    names = {split: f"{split}-*.parquet" for split in files}
    edition = dataclasses.replace(edition, archives=edition.archives | names, patches="")
    if edition.is_open:
        edition = dataclasses.replace(edition, num_images=totals)
    present = {classes.synsets[x].wnid for p in rows if p.split == "train" for x in {*p.labels}}
    where = request.folder
    remarks += counts.check_synsets(edition, classes, where, present, request.partial)
    for split in files:
        remarks += counts.check_number(edition, split, where, totals[split], request.partial)
    if "test" not in files:
        remarks.append("no test files: no test split")
    digests = {names[split]: _digest(files[split], rows, split) for split in files}
    digests["classes"] = classes.digest()
    return Source(edition, classes, units, digests, tuple(remarks))


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split, in order of their numbers."""
    return splits.named_below(folder, "*-of-*.parquet", _NAME)


def _require_all(paths: list[Path], partial: bool) -> list[str]:
    """Refuse files of which some are missing, by the numbers in their names, or remark on it."""
    kind, _, of = paths[0].name.split("-", 2)
    total = int(of.split("-")[1].split(".")[0])
    there = {int(path.name.split("-")[1]) for path in paths}
    missing = [f"{kind}-{n:05d}-of-{total:05d}.parquet" for n in range(total) if n not in there]
    return counts.check_files(paths[0].parent, f"{total} files of {kind}", missing, partial)


def _rows(split: str, path: Path) -> Iterator[_Rows]:
    """Yield the rows of a file, divided into units."""
    with parquet_files.opened(path) as file:
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
        table = file.read(columns=["image.path", "label"], use_threads=False)
        paths = table.column("image").combine_chunks().field("path").to_pylist()
        labels = table.column("label").to_pylist()
    made_up = f"{original_names.UNNAMED}{path.name.removesuffix('.parquet')}"
    pairs = [
        original_names.of_hub(text) if text else (f"{made_up}-{row}.JPEG", "")
        for row, text in enumerate(paths)
    ]
    for name, _ in pairs:
        refuse_hostile(path, name)
    first = number = size = 0
    for position, more in enumerate([*sizes, 0]):
        if size and (position == len(sizes) or size + more > assemble.UNIT):
            part, known = pairs[first : first + size], labels[first : first + size]
            ids = [-1 if label is None else label for label in known]
            yield _Rows(split, path, number, first, [p[0] for p in part], [p[1] for p in part], ids)
            first, number, size = first + size, number + 1, 0
        size += more


def _classes(request: Request, rows: list[_Rows]) -> tuple[Edition, ClassTable]:
    """Return the classes whose ranks the labels are, and the edition that has them."""
    seen = {
        (wnid, label, part.path)
        for part in rows
        for wnid, label in {*zip(part.wnids, part.labels, strict=True)}
        if label >= 0
    }
    words = dict.fromkeys(sorted({wnid for wnid, _, _ in seen if wnid}), "")
    edition, classes = class_lists.choose(request.folder, request.classes, words)
    if request.classes is None and _wrong(classes, seen) and len(words) > 1:
        own = class_lists.own(words)
        if not _wrong(own[1], seen):
            return own
    for wnid, label, path in _wrong(classes, seen)[:1]:
        rank = classes.index_of_wnid.get(wnid)
        wanted = f"label {rank}, the rank of {wnid} among the {len(classes)} sorted wnids"
        if rank is None:
            wanted = f"labels of {len(classes)} classes"
        advice = "name the list of classes with --classes"
        raise DataError(mismatch(path, wanted, f"{label} {wnid}".strip(), advice))
    return edition, classes


def _wrong(classes: ClassTable, seen: set[tuple[str, int, Path]]) -> list[tuple[str, int, Path]]:
    ranks = classes.index_of_wnid
    return sorted(
        (wnid, label, path)
        for wnid, label, path in seen
        if (ranks.get(wnid) != label if wnid else label >= len(classes))
    )


def _digest(paths: list[Path], rows: list[_Rows], split: str) -> str:
    """Return the size of a split's files, and a digest of their names, paths and labels."""
    size = sum(path.stat().st_size for path in paths)
    parts = [(p.path.name, p.first, p.names, p.labels) for p in rows if p.split == split]
    return f"{size} bytes, index {sha256_bytes(repr(parts).encode())}"


def _read(unit: Unit) -> Iterator[Original]:
    """Read the rows of a unit; a missing image is empty bytes."""
    labelled = zip(unit.members, unit.labels, strict=True)
    wanted = {member.offset: (member.name, label) for member, label in labelled}
    with parquet_files.opened(unit.archive) as file:
        row = 0
        for group in range(file.metadata.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if not any(number in wanted for number in range(row, row + size)):
                row += size
                continue
            for image_bytes in parquet_files.images(file, group):
                if row in wanted:
                    yield Original(*wanted[row], image_bytes)
                row += 1
