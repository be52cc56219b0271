"""Exports the prepared images to class folders, for use by other tools."""

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
    """Return the plan: what determines the contents of the folders."""
    return Plan(stage="extract", settings={}, inputs={"images": prepared.digest})


def run(prepared: Prepared, out: Path, workers: int, done: Callable[[int], None]) -> Manifest:
    """Write every image as out/<split>/<wnid>/<name>, then the manifest.

    Raises:
        DataError: If a prepared image does not match its record.
    """
    units = [unit for split in prepared.splits for unit in prepared.units(split)]
    files.require_space(out, sum(prepared.num_bytes(unit) for unit in units))
    work = functools.partial(write_unit, prepared=prepared, out=out)
    counts: dict[str, int] = {}
    for unit, count in pool.run(work, units, workers, str):
        split = unit.split("/", 1)[0]
        counts[f"{split} images"] = counts.get(f"{split} images", 0) + count
        done(count)
    for image in prepared.quarantine:
        key = f"{image['split']} quarantined"
        counts[key] = counts.get(key, 0) + 1
    os.sync()
    plan = make_plan(prepared)
    return manifest.finish(plan, out / manifest.NAME, dict(sorted(counts.items())), {})


def lost(prepared: Prepared, out: Path) -> list[str]:
    """Return the files of the class folders that are missing or of another size."""
    return [
        str(path.relative_to(out))
        for split in prepared.splits
        for unit in prepared.units(split)
        for verdict in prepared.verdicts(unit)
        if not _is_whole(path := _image_path(verdict, split, prepared, out), verdict)
    ]


def _image_path(verdict: Verdict, split: str, prepared: Prepared, out: Path) -> Path:
    """Return the path of an image in its class folder."""
    is_labelled = verdict.label >= 0
    wnid = prepared.classes.synsets[verdict.label].wnid if is_labelled else UNLABELLED
    # Names of images that came in class folders include the folder.
    return out / split / wnid / Path(verdict.name).name


def _is_whole(path: Path, verdict: Verdict) -> bool:
    return path.exists() and path.stat().st_size == verdict.size


def write_unit(unit: str, prepared: Prepared, out: Path) -> int:
    """Write the images of one unit that are missing or cut; return the number of its images."""
    split, count = unit.split("/", 1)[0], 0
    for verdict, jpeg in jpegs(prepared, unit):
        require_unchanged(verdict, jpeg, prepared.tar(unit))
        path = _image_path(verdict, split, prepared, out)
        if not _is_whole(path, verdict):
            with files.named(path):
                _write(path, jpeg)
        count += 1
    return count


def _write(path: Path, jpeg: bytes) -> None:
    """Write a file whole; `run` syncs once, as an fsync for each of a million would take hours."""
    part = files.partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.write_bytes(jpeg)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
