"""Writes the original files as class folders, patches applied, for use by other tools."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest, pool
from alexrep.ilsvrc.unit import Source, Unit
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.extract import is_whole, write
from alexrep.prepare.extract_layouts import folder_path
from alexrep.prepare.units import contents


def make_plan(source: Source, partial: bool) -> Plan:
    """Return the plan: what determines the contents of the folders."""
    settings: dict[str, JsonValue] = {
        "layout": "originals",
        "edition": source.edition.name,
        "partial": partial,
    }
    return Plan(stage="extract", settings=settings, inputs=source.digests)


def run(
    source: Source, out: Path, plan: Plan, workers: int, done: Callable[[int], None]
) -> Manifest:
    """Write every file that is missing or cut, then the manifest.

    Args:
        source: The originals.
        out: Folder to write to.
        plan: As `make_plan` returns it.
        workers: Processes at work.
        done: Called with the number of images of each unit that ends.

    Raises:
        DataError: If an archive is broken or a class's count is wrong.
    """
    files.require_space(out, _num_bytes(source))
    wnids = tuple(synset.wnid for synset in source.classes.synsets)
    work = functools.partial(write_unit, out=out, wnids=wnids)
    counts: dict[str, int] = {}
    for unit, count in pool.run(work, source.units, workers, lambda unit: unit.name):
        key = f"{unit.split} images"
        counts[key] = counts.get(key, 0) + count
        done(count)
    os.sync()
    return manifest.finish(plan, out / manifest.NAME, dict(sorted(counts.items())), {})


def write_unit(unit: Unit, out: Path, wnids: Sequence[str]) -> int:
    """Write the files of one unit that are missing or cut; return the number of its images."""
    count = 0
    for name, label, content, _ in contents(unit):
        path = out / folder_path(unit.split, wnids[label] if label >= 0 else None, name)
        if not is_whole(path, len(content)):
            with files.named(path):
                write(path, content)
        count += 1
    return count


def lost(record: Manifest, out: Path) -> list[str]:
    """Return the splits that have not as many files as were written."""
    splits = {key.removesuffix(" images"): num for key, num in record.counts.items()}
    return [
        split
        for split, num in splits.items()
        if sum(len(names) for _, _, names in os.walk(out / split)) != num
    ]


def _num_bytes(source: Source) -> int:
    """Return the bytes of all files; of archives without a list of sizes, that of the archives."""
    listed = sum(member.size for unit in source.units for member in unit.members)
    others = {unit.archive for unit in source.units if unit.is_mixed}
    return listed + sum(archive.stat().st_size for archive in others)
