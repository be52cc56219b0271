"""Packing: prepared images into shards, the training split shuffled once."""

import functools
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from alexrep import files, keyed, manifest, pool
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.prepared import Prepared, lost
from alexrep.manifest import Manifest, Plan
from alexrep.shards import layout

BUFFER = 1 << 24
"""Bytes gathered before they are written."""


@dataclass(frozen=True)
class Listing:
    """The images of a split in the order of its shards: about 60 bytes an image."""

    tars: list[Path]
    tar: NDArray[np.int32]
    """Index into `tars`, (N,)."""
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    label: NDArray[np.int32]
    name: NDArray[np.bytes_]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.tar)

    def part(self, rows: NDArray[np.int64] | slice) -> "Listing":
        """Return some of the images."""
        return Listing(
            self.tars,
            self.tar[rows],
            self.offset[rows],
            self.size[rows],
            self.label[rows],
            self.name[rows],
        )


@dataclass(frozen=True)
class Shard:
    """One shard to write."""

    name: str
    split: str
    images: Listing


def make_plan(prepared: Prepared, seed: int, shard_images: int) -> Plan:
    """State what decides the shards."""
    settings: dict[str, JsonValue] = {"encoding": layout.ENCODING, "shard images": shard_images}
    return Plan(stage="pack", settings=settings, seed=seed, inputs={"images": prepared.digest})


def list_images(prepared: Prepared, split: str, seed: int) -> Listing:
    """List a split's images: train shuffled by the seed, the others in order."""
    units = prepared.units(split)
    found = [prepared.verdicts(unit) for unit in units]
    rows = [(number, one) for number, unit in enumerate(found) for one in unit]
    listing = Listing(
        tars=[prepared.tar(unit) for unit in units],
        tar=np.array([number for number, _ in rows], np.int32),
        offset=np.array([one.offset for _, one in rows], np.int64),
        size=np.array([one.size for _, one in rows], np.int64),
        label=np.array([one.label for _, one in rows], np.int32),
        name=np.array([os.fsencode(one.name) for _, one in rows], np.bytes_),
    )
    return listing.part(keyed.permutation(len(listing), seed)) if split == "train" else listing


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
    counts: dict[str, int] = {}
    names, todo, space = [], [], 0
    for split in prepared.splits:
        listing = list_images(prepared, split, seed)
        counts[f"{split} images"] = len(listing)
        counts[f"{split} quarantined"] = sum(one["split"] == split for one in prepared.quarantine)
        for shard in _divide(listing, split, shard_images):
            names.append(shard.name)
            if (folder / shard.name).exists():
                done(len(shard.images))
            else:
                todo.append(shard)
                space += int(shard.images.size.sum())
    files.require_space(folder, space)
    work = functools.partial(write, prepared=prepared, folder=folder, seed=seed)
    for shard, _ in pool.run(work, todo, workers, lambda shard: shard.name):
        done(len(shard.images))
    files.write_json(folder / layout.CLASSES, prepared.classes.rows())
    outputs = {name: files.sha256_file(folder / name) for name in [*names, layout.CLASSES]}
    details = {key: prepared.manifest.details[key] for key in ("edition", "side", "geometry")}
    return manifest.finish(plan, folder / manifest.NAME, counts, outputs, details)


def write(shard: Shard, prepared: Prepared, folder: Path, seed: int) -> None:
    """Write one shard, whole or not at all."""
    images = shard.images
    offsets = np.concatenate([[0], np.cumsum(images.size)]).astype(np.int64)
    crcs = np.zeros(len(images), np.uint32)
    with files.whole(folder / shard.name) as part, h5py.File(part, "w", libver="latest") as out:
        jpeg = out.create_dataset("jpeg", (int(offsets[-1]),), np.uint8)
        start, buffer = 0, bytearray()
        for number, content in enumerate(_contents(images)):
            crcs[number] = zlib.crc32(content)
            buffer += content
            if len(buffer) >= BUFFER or number == len(images) - 1:
                jpeg[start : start + len(buffer)] = np.frombuffer(buffer, np.uint8)
                start, buffer = start + len(buffer), bytearray()
        out["offsets"], out["labels"] = offsets, images.label
        out["names"], out["crc32"] = images.name, crcs
        out.attrs.update(_attributes(shard, prepared, seed))


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


def _divide(listing: Listing, split: str, shard_images: int) -> Iterator[Shard]:
    for number, start in enumerate(range(0, len(listing), shard_images)):
        part = listing.part(slice(start, start + shard_images))
        yield Shard(layout.file_name(split, number), split, part)


def _contents(images: Listing) -> Iterator[bytes]:
    """Yield the bytes of each image, from tars opened once each time they are needed."""
    for number, offset, size, name in zip(
        images.tar, images.offset, images.size, images.name, strict=True
    ):
        tar = images.tars[number]
        try:
            with tar.open("rb", buffering=0) as stream:
                content = os.pread(stream.fileno(), int(size), int(offset))
        except FileNotFoundError:
            raise lost(tar) from None
        if len(content) != size:
            where, found = f"{tar}: {os.fsdecode(name)}", f"{len(content)} bytes"
            advice = "run preprocess in another folder"
            raise DataError(mismatch(where, f"{size} bytes", found, advice))
        yield content
