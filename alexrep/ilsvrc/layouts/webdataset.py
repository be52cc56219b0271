"""WebDataset: tars of samples, each a key with .jpg, .jpeg or .png and .cls or .json.

Shards are the units, listed when they are prepared. Where a key, or a file name in the JSON, has
the original name of the image in it, that is restored, and its wnid is checked against the label;
else the images get made-up names, and the labels are ranks in the list of classes.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import archives, class_lists, original_names, splits
from alexrep.ilsvrc.assemble import unlisted
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.editions import EDITIONS as KNOWN
from alexrep.ilsvrc.editions import SPLITS, Edition
from alexrep.ilsvrc.folders import SUFFIXES
from alexrep.ilsvrc.layouts.layout import Request
from alexrep.ilsvrc.member import Member
from alexrep.ilsvrc.unit import Original, Source, Unit

EDITIONS = ("ilsvrc2012",)
"""Names of the editions in this form."""
LISTS = ("classes",)
"""Lists that a user may name for what this form may lack."""
_NAME = re.compile(r"(?:.*[-_.])?(train|validation|val|test)[-_.]?[0-9]+(?:[-_]of[-_][0-9]+)?\.tar")
_NUMBER = re.compile(r"(?:.*[-_])?[0-9]+\.tar")
"""Of shards in a folder that is named by the split."""
LABELS = (".cls", ".json")


def recognise(folder: Path) -> Edition | None:
    """See `Layout`: by the names of the shards, and the first members of one."""
    shards = [path for paths in _files(folder).values() for path in paths]
    return KNOWN["ilsvrc2012"] if shards and _has_samples(shards[0]) else None


def survey(request: Request) -> Source:
    """See `Layout`."""
    files = _files(request.folder)
    edition, classes = class_lists.choose(request.folder, request.classes, {})
    return unlisted(request, edition, classes, files, functools.partial(_read, classes))


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the shards of each split, by their names or the folders that they are in."""
    found = splits.named(folder, "*.tar", _NAME)
    for name in ("train", "val", "validation", "test"):
        shards = [p for p in sorted((folder / name).glob("*.tar")) if _NUMBER.fullmatch(p.name)]
        if shards:
            found.setdefault(splits.of_name(name), shards)
    return {split: found[split] for split in SPLITS if split in found}


def _has_samples(shard: Path) -> bool:
    """Tell whether a shard begins with an image or its label."""
    names = archives.first_names(shard, 3)
    return any(name.lower().endswith((*SUFFIXES, *LABELS)) for name in names)


def _read(classes: ClassTable, unit: Unit) -> Iterator[Original]:
    """Read the images of a shard, in the order of their keys.

    Raises:
        DataError: If the shard is damaged, or a sample has no label, or that of another class
            than its wnid.
    """
    ranks = classes.index_of_wnid
    for key, parts in _samples(unit.archive).items():
        form = next((suffix for suffix in SUFFIXES if suffix in parts), None)
        if form is None:
            continue
        facts = _facts(unit.archive, parts)
        texts = [str(facts.get(name, "")) for name in ("filename", "file_name", "path")]
        texts += [key, str(facts.get("wnid", "")), str(facts.get("synset", ""))]
        name = next(filter(None, map(original_names.within, texts)), "")
        wnid = next(filter(None, map(original_names.wnid_within, texts)), "")
        label = _label(unit, key, facts, ranks.get(wnid), wnid, len(classes))
        made_up = f"{original_names.UNNAMED}{unit.archive.stem}-{Path(key).name}{form}"
        yield Original(name or made_up, label, archives.read(unit.archive, parts[form]))


def _samples(shard: Path) -> dict[str, dict[str, Member]]:
    """Return the members of each sample by their suffixes in lower case, by key."""
    samples: dict[str, dict[str, Member]] = {}
    for member in archives.members(shard):
        # A key ends at the first dot of the name; folders are a part of it.
        stem, dot, suffix = member.name.partition(".")
        key = member.path.removesuffix(dot + suffix) or stem
        samples.setdefault(key, {})[f".{suffix.lower()}"] = member
    return samples


def _facts(shard: Path, parts: Mapping[str, Member]) -> dict[str, Any]:
    """Return what the JSON of a sample says, with the number in its .cls as "label"."""
    facts: dict[str, Any] = {}
    where = shard
    try:
        if ".json" in parts:
            where = Path(f"{shard}: {parts['.json'].path}")
            loaded = json.loads(archives.read(shard, parts[".json"]))
            facts = loaded if isinstance(loaded, dict) else {"label": loaded}
        if ".cls" in parts:
            where = Path(f"{shard}: {parts['.cls'].path}")
            facts["label"] = int(archives.read(shard, parts[".cls"]).decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            mismatch(where, "the label of a sample", error, "download it again")
        ) from None
    return facts


def _label(
    unit: Unit, key: str, facts: dict[str, Any], rank: int | None, wnid: str, num: int
) -> int:
    """Return the label of a sample; that of its wnid must agree with its number."""
    number, where = facts.get("label"), f"{unit.archive}: {key}"
    if wnid and rank is None:
        advice = "name the list of classes with --classes"
        raise DataError(mismatch(where, f"a wnid of the {num} classes", wnid, advice))
    if number is None and rank is not None:
        return rank
    if unit.split == "test" and number in (None, -1):
        return -1
    if type(number) is not int or not 0 <= number < num:
        advice = "name the list of classes with --classes"
        raise DataError(mismatch(where, f"a label from 0 to {num - 1}", number, advice))
    if rank is not None and rank != number:
        wanted, advice = f"label {rank}, the rank of {wnid}", "name the list of classes"
        raise DataError(mismatch(where, wanted, number, f"{advice} with --classes"))
    return number
