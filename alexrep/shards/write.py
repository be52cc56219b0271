"""Packing: prepared images into shards, the training split shuffled once."""

import functools
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from alexrep import files, manifest, pool
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.prepared import Prepared, lost
from alexrep.manifest import Manifest, Plan
from alexrep.shards import layout
from alexrep.shards.listing import Images, Listing, list_images
from alexrep.shards.outline import Outline, reserve

BUFFER = 1 << 24
"""Bytes gathered before they are written."""


@dataclass(frozen=True)
class Shard:
    """One shard to write."""

    name: str
    split: str
    images: Images


def make_plan(prepared: Prepared, seed: int, shard_images: int) -> Plan:
    """State what decides the shards."""
    settings: dict[str, JsonValue] = {"encoding": layout.ENCODING, "shard images": shard_images}
    return Plan(stage="pack", settings=settings, seed=seed, inputs={"images": prepared.digest})


def run(
    prepared: Prepared,
    folder: Path,
    plan: Plan,
    workers: int,
    done: Callable[[int], None],
) -> Manifest:
    """Write every shard that is not there yet, then the manifest.

    Raises:
        DataError: If a prepared image is not what its record says.
    """
    seed, shard_images = plan.seed or 0, plan.settings["shard images"]
    assert isinstance(shard_images, int), "set by make_plan"  # noqa: S101
    listings = {split: list_images(prepared, split, seed) for split in prepared.splits}
    files.require_space(folder, _space(listings, shard_images, folder))
    outputs = {name: "" for name, *_ in _divide(listings, shard_images)}
    work = functools.partial(write, prepared=prepared, folder=folder, seed=seed)
    for shard, digest in pool.run(
        work, _shards(listings, shard_images), workers, lambda shard: shard.name
    ):
        outputs[shard.name] = digest
        done(len(shard.images))
    files.write_json(folder / layout.CLASSES, prepared.classes.rows())
    outputs[layout.CLASSES] = files.sha256_file(folder / layout.CLASSES)
    counts: dict[str, int] = {}
    for split, listing in listings.items():
        counts[f"{split} images"] = len(listing)
        counts[f"{split} quarantined"] = sum(one["split"] == split for one in prepared.quarantine)
    details = {key: prepared.manifest.details[key] for key in ("edition", "side", "geometry")}
    return manifest.finish(plan, folder / manifest.NAME, counts, outputs, details)


def _divide(listings: dict[str, Listing], shard_images: int) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, split, first place and end of each shard."""
    for split, listing in listings.items():
        for number, start in enumerate(range(0, len(listing), shard_images)):
            end = min(start + shard_images, len(listing))
            yield layout.file_name(split, number), split, start, end


def _shards(listings: dict[str, Listing], shard_images: int) -> Iterator[Shard]:
    """Yield the shards as they are asked for: their lists together would double the memory."""
    for name, split, start, end in _divide(listings, shard_images):
        yield Shard(name, split, listings[split].part(start, end))


def _space(listings: dict[str, Listing], shard_images: int, folder: Path) -> int:
    """Return the bytes of the images of all shards that are not there yet."""
    missing = (one for one in _divide(listings, shard_images) if not (folder / one[0]).exists())
    return sum(int(listings[split].part(start, end).size.sum()) for _, split, start, end in missing)


def write(shard: Shard, prepared: Prepared, folder: Path, seed: int) -> str:
    """Write one shard, whole or not at all, unless it is there; return its sha256."""
    path, images = folder / shard.name, shard.images
    if path.exists():
        return files.sha256_file(path)
    offsets = np.concatenate([[0], np.cumsum(images.size)]).astype(np.int64)
    crcs = np.zeros(len(images), np.uint32)
    outline = Outline()
    with files.whole(path) as part:
        with part.open("wb") as stream, h5py.File(outline, "w", libver="latest") as out:
            stream.seek(reserve(out, "jpeg", int(offsets[-1])))
            memory = np.empty(max(BUFFER, int(images.size.max())), np.uint8)
            start = 0
            while start < len(images):
                fitting = np.searchsorted(offsets, offsets[start] + len(memory), side="right")
                end = int(fitting) - 1
                places = offsets[start : end + 1] - offsets[start]
                for row in range(start, end):
                    image = memory[places[row - start] : places[row - start + 1]]
                    _read(images, row, image)
                    crcs[row] = zlib.crc32(image.data)
                stream.write(memory[: places[-1]].data)
                start = end
            out["offsets"], out["labels"] = offsets, images.label
            out["names"], out["crc32"] = images.name, crcs
            out.attrs.update(_attributes(shard, prepared, seed))
            out.close()
            outline.copy_to(stream)
        return _flushed_digest(part)


def _attributes(shard: Shard, prepared: Prepared, seed: int) -> dict[str, str | int]:
    return {
        "format": layout.FORMAT,
        "edition": str(prepared.manifest.details["edition"]),
        "split": shard.split,
        "side": prepared.side,
        "num_classes": len(prepared.classes),
        "classes": prepared.classes.digest(),
        "images": prepared.digest,
        "seed": seed,
    }


def _read(images: Images, row: int, memory: NDArray[np.uint8]) -> None:
    """Read the bytes of an image into `memory`, which has its size."""
    tar = images.tars[images.tar[row]]
    try:
        descriptor = os.open(tar, os.O_RDONLY)
    except FileNotFoundError:
        raise lost(tar) from None
    try:
        num_read = os.preadv(descriptor, [memory.data], int(images.offset[row]))
    finally:
        os.close(descriptor)
    if num_read != len(memory):
        where, found = f"{tar}: {os.fsdecode(images.name[row])}", f"{num_read} bytes"
        advice = "run preprocess in another folder"
        raise DataError(mismatch(where, f"{len(memory)} bytes", found, advice))


def _flushed_digest(path: Path) -> str:
    """Return the sha256 of a file, computed while the disk takes its bytes."""
    with path.open("rb") as stream, ThreadPoolExecutor(1) as beside:
        flush = beside.submit(os.fsync, stream.fileno())
        digest = files.sha256_file(path)
        flush.result()  # Linux tells once that bytes were lost: nobody else will hear of it
    return digest
