"""Packing against cp of the same bytes, and the memory of the list of images.

    python benchmarks/pack.py FOLDER [--data DATA] [--images 40000]

The prepared training images are repeated until there are enough. Both read from the page
cache and write to the disk of FOLDER; cp is measured without and with a flush to disk, which
pack always does. pack also shuffles, and computes a crc32 per image and a sha256 per shard.
Targets: 0.8 of the bytes per second of cp; 64 bytes per image.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import inputs
from pydantic import JsonValue
from record import keep
from rounds import Measure, alternate, wall_seconds

from alexrep import files, pool
from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import Prepared, open_prepared
from alexrep.shards import listing, write

SHARD_IMAGES = 5_000
FIELDS: tuple[Any, ...] = ("ok", "", "0" * 64, "RGB", 500, 375, "0" * 64, 512, 25_000)


def enlarge(prepared: Prepared, folder: Path, num_images: int) -> Prepared:
    """Copy the training units until there are `num_images`; return them as prepared images."""
    units: list[JsonValue] = []
    outputs: dict[str, str] = {}
    num_copied, originals = 0, prepared.units("train")
    while num_copied < num_images:
        unit, name = originals[len(units) % len(originals)], f"train/{len(units):05d}"
        for suffix in ("tar", "jsonl"):
            target = folder / f"{name}.{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(prepared.folder / f"{unit}.{suffix}", target)
        outputs[f"{name}.jsonl"] = prepared.manifest.outputs[f"{unit}.jsonl"]
        num_copied += len(prepared.verdicts(unit))
        units.append(name)
    shutil.copyfile(prepared.folder / "manifest.json", folder / "manifest.json")
    details = {**prepared.manifest.details, "units": units}
    update = {"details": details, "outputs": outputs}
    record = prepared.manifest.model_copy(update=update)
    return dataclasses.replace(prepared, folder=folder, manifest=record)


def pack(prepared: Prepared, folder: Path, workers: int) -> None:
    """Pack into an empty folder."""
    plan = write.make_plan(prepared, 1, SHARD_IMAGES)
    write.run(prepared, folder, plan, workers, lambda num: None)


def copy(tars: list[Path], folder: Path, flushed: bool) -> None:
    """Copy into an empty folder."""
    subprocess.run(["cp", *map(str, tars), str(folder)], check=True)
    for path in [*folder.iterdir(), folder] if flushed else []:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def emptied(folder: Path, work: Measure) -> Measure:
    """Empty a folder, on the disk too, before each measurement."""

    def measure() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.sync()
        return work()

    return measure


def hash_all(tars: list[Path]) -> None:
    """Compute the digests that pack needs: a lower bound of its time on one core."""
    for tar in tars:
        files.sha256_file(tar)


def _verdicts(unit: str) -> list[Verdict]:
    first = 1000 * int(unit.split("/")[1])
    return [Verdict(f"n01440764_{first + k}.JPEG", 3, *FIELDS) for k in range(1000)]


def print_list_memory(num_images: int) -> None:
    """Print by how many bytes a list of so many images grows the peak memory of this process."""

    def listed(num: int) -> object:
        units = [f"train/{number}" for number in range(num // 1000)]
        fake: Any = SimpleNamespace(units=lambda _: units, verdicts=_verdicts, tar=Path)
        return listing.list_images(fake, "train", 1)

    listed(2000)
    before = _peak()
    images = listed(num_images)
    print(_peak() - before)
    del images


def _peak() -> int:
    """Return the peak memory of this program in bytes; getrusage would add its parent's."""
    line = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert line is not None  # noqa: S101
    return int(line[1]) * 1024


def memory_an_image() -> float:
    """Return the bytes per image that a longer list takes."""
    sizes, taken = (10_000, 200_000), []
    for num in sizes:
        command = [sys.executable, __file__, ".", "--list", str(num)]
        taken.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    return (taken[1] - taken[0]) / (sizes[1] - sizes[0])


def main() -> None:
    """Measure; print and keep the figures."""
    parser = inputs.parser(__doc__)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--list", type=int)
    options = parser.parse_args()
    if options.list:
        print_list_memory(options.list)
        return
    name, data = inputs.prepared(options)
    source = options.folder / "many"
    shutil.rmtree(source, ignore_errors=True)
    prepared = enlarge(open_prepared(data), source, options.images)
    tars = [prepared.tar(unit) for unit in prepared.units("train")]
    num_bytes, out = sum(tar.stat().st_size for tar in tars), options.folder / "out"
    contestants = {
        "cp": emptied(out, wall_seconds(partial(copy, tars, out, False))),
        "cp, flushed": emptied(out, wall_seconds(partial(copy, tars, out, True))),
        "pack, one worker": emptied(out, wall_seconds(partial(pack, prepared, out, 1))),
        "pack": emptied(out, wall_seconds(partial(pack, prepared, out, pool.available()))),
        "sha256 alone": wall_seconds(partial(hash_all, tars)),
    }
    seconds = alternate(contestants, options.rounds)
    counts = (
        json.loads((out / "manifest.json").read_text(encoding="utf-8"))["counts"]
        if out.exists()
        else {}
    )
    shutil.rmtree(out)
    shutil.rmtree(source)
    rates = {key: num_bytes / taken / 1e6 for key, taken in seconds.items()}
    figures: dict[str, JsonValue] = {
        "images": f"{counts.get('train images')}, {name}, {num_bytes / 1e6:.0f} MB",
        "workers of pack": pool.available(),
        "megabytes per second": {key: round(rate) for key, rate in rates.items()},
        "of cp flushed to disk (0.8)": round(rates["pack"] / rates["cp, flushed"], 2),
        "of cp left in memory": round(rates["pack"] / rates["cp"], 2),
        "one worker, of cp flushed": round(rates["pack, one worker"] / rates["cp, flushed"], 2),
        "bytes of memory an image (64)": round(memory_an_image(), 1),
    }
    print(keep("pack", figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
