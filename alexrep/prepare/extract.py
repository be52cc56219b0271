"""Exports the prepared images as files, for use by other tools."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

from alexrep import files, manifest, pool
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.extract_layouts import Layout, class_folders
from alexrep.prepare.prepared import Prepared, jpegs, require_unchanged


def make_plan(prepared: Prepared, layout: str = "folders") -> Plan:
    """Return the plan: what determines the contents of the folders."""
    # Folders of before have no such setting.
    return Plan(
        stage="extract",
        settings={} if layout == "folders" else {"layout": layout},
        inputs={"images": prepared.digest},
    )


def run(
    prepared: Prepared,
    out: Path,
    workers: int,
    done: Callable[[int], None],
    plan: Plan | None = None,
    layout: Layout | None = None,
) -> Manifest:
    """Write every image where the layout has it, then its lists and the manifest.

    Args:
        prepared: The prepared images.
        out: Folder to write to.
        workers: Processes at work.
        done: Called with the number of images of each unit that ends.
        plan: As `make_plan` returns it.
        layout: Class folders if not given.

    Raises:
        DataError: If a prepared image does not match its record.
    """
    plan, layout = plan or make_plan(prepared), layout or class_folders(prepared)
    units = [unit for split in prepared.splits for unit in prepared.units(split)]
    files.require_space(out, sum(prepared.num_bytes(unit) for unit in units))
    work = functools.partial(write_unit, prepared=prepared, out=out, layout=layout)
    counts: dict[str, int] = {}
    for unit, count in pool.run(work, units, workers, str):
        split = unit.split("/", 1)[0]
        counts[f"{split} images"] = counts.get(f"{split} images", 0) + count
        done(count)
    for name, text in layout.lists().items():
        files.write_bytes(out / name, text.encode())
    for image in prepared.quarantine:
        key = f"{image['split']} quarantined"
        counts[key] = counts.get(key, 0) + 1
    os.sync()
    return manifest.finish(plan, out / manifest.NAME, dict(sorted(counts.items())), {})


def lost(prepared: Prepared, out: Path, layout: Layout | None = None) -> list[str]:
    """Return the files of the export that are missing or of another size."""
    layout = layout or class_folders(prepared)
    names = [
        path
        for split in prepared.splits
        for unit in prepared.units(split)
        for position, verdict in enumerate(prepared.verdicts(unit))
        if not is_whole(out / (path := layout.path(unit, position, verdict)), verdict.size)
    ]
    lists = layout.lists().items()
    return names + [name for name, text in lists if not is_whole(out / name, len(text.encode()))]


def is_whole(path: Path, size: int) -> bool:
    """Tell whether a file is there and has its size, in bytes."""
    return path.exists() and path.stat().st_size == size


def write_unit(unit: str, prepared: Prepared, out: Path, layout: Layout) -> int:
    """Write the images of one unit that are missing or cut; return the number of its images."""
    count = 0
    for position, (verdict, jpeg) in enumerate(jpegs(prepared, unit)):
        require_unchanged(verdict, jpeg, prepared.tar(unit))
        path = out / layout.path(unit, position, verdict)
        if not is_whole(path, verdict.size):
            with files.named(path):
                write(path, jpeg)
        count += 1
    return count


def write(path: Path, jpeg: bytes) -> None:
    """Write a file whole; `run` syncs once, as an fsync for each of a million would take hours."""
    part = files.partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.write_bytes(jpeg)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
