"""The prepared set as class folders, for any other tool."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

from alexrep import files, manifest, pool
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import Prepared, jpegs, require_unchanged

UNLABELLED = "unlabelled"
"""Folder of images whose labels are not public."""


def make_plan(prepared: Prepared) -> Plan:
    """State what decides the folders."""
    return Plan(stage="extract", settings={}, inputs={"images": prepared.digest})


def run(prepared: Prepared, out: Path, workers: int, done: Callable[[int], None]) -> Manifest:
    """Write every image as out/<split>/<wnid>/<name>, then the manifest.

    Raises:
        DataError: If a prepared image is not what its record says.
    """
    units = [unit for split in prepared.splits for unit in prepared.units(split)]
    files.require_space(out, sum(prepared.num_bytes(unit) for unit in units))
    work = functools.partial(write_unit, prepared=prepared, out=out)
    counts: dict[str, int] = {}
    for unit, count in pool.run(work, units, workers, str):
        split = unit.split("/", 1)[0]
        counts[f"{split} images"] = counts.get(f"{split} images", 0) + count
        done(count)
    for one in prepared.quarantine:
        key = f"{one['split']} quarantined"
        counts[key] = counts.get(key, 0) + 1
    os.sync()
    plan = make_plan(prepared)
    return manifest.finish(plan, out / manifest.NAME, dict(sorted(counts.items())), {})


def lost(prepared: Prepared, out: Path) -> list[str]:
    """Return the files that are missing in class folders or of another size: a stat each."""
    return [
        str(path.relative_to(out))
        for split in prepared.splits
        for unit in prepared.units(split)
        for verdict in prepared.verdicts(unit)
        if not _is_there(path := _place(verdict, split, prepared, out), verdict)
    ]


def _place(verdict: Verdict, split: str, prepared: Prepared, out: Path) -> Path:
    """Return where an image goes."""
    known = verdict.label >= 0
    wnid = prepared.classes.synsets[verdict.label].wnid if known else UNLABELLED
    # Images of class folders have the folder in their name.
    return out / split / wnid / Path(verdict.name).name


def _is_there(path: Path, verdict: Verdict) -> bool:
    return path.exists() and path.stat().st_size == verdict.size


def write_unit(unit: str, prepared: Prepared, out: Path) -> int:
    """Write the images of one unit that are not there whole yet, and return their number."""
    split, count = unit.split("/", 1)[0], 0
    for verdict, content in jpegs(prepared, unit):
        require_unchanged(verdict, content, prepared.tar(unit))
        path = _place(verdict, split, prepared, out)
        if not _is_there(path, verdict):
            with files.named(path):
                _write(path, content)
        count += 1
    return count


def _write(path: Path, content: bytes) -> None:
    """Write a file whole; a flush for each of a million would take hours, so run flushes once."""
    part = files.partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.write_bytes(content)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
