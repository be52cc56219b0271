"""Packing: prepared images into shards, the training split shuffled once."""

import functools
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest, pool
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.prepared import Prepared, check_lists
from alexrep.shards import layout
from alexrep.shards.hdf5 import FileWithHole, lay_out
from alexrep.shards.image_bytes import AHEAD, ImageBytes, Tars
from alexrep.shards.listing import Images, SplitImages, list_images


@dataclass(frozen=True)
class ShardPlan:
    """One shard to write."""

    name: str
    split: str
    images: Images


def make_plan(prepared: Prepared, seed: int, shard_images: int, encoding: str = "jpeg") -> Plan:
    """State what decides the shards."""
    settings: dict[str, JsonValue] = {"encoding": encoding, "shard images": shard_images}
    return Plan(stage="pack", settings=settings, seed=seed, inputs={"images": prepared.digest})


def run(
    prepared: Prepared,
    folder: Path,
    plan: Plan,
    workers: int,
    done: Callable[[int], None],
    before: Callable[[int], None] = lambda num: None,
) -> Manifest:
    """Write every shard that is not there yet, then the manifest.

    Of a stage that was finished and lost outputs the others are left unread: their digests
    are those that its manifest holds, so that a fault in them stays one.

    Args:
        prepared: The prepared images.
        folder: Folder of the shards.
        plan: As `make_plan` gives it.
        workers: Threads at work.
        done: Called with the number of images of each shard that is written.
        before: Called with that of each shard that was there.

    Raises:
        DataError: If a prepared image is not what its record says, or the record has changed.
    """
    seed, shard_images = plan.seed or 0, plan.settings["shard images"]
    encoding = str(plan.settings["encoding"])
    assert isinstance(shard_images, int), "set by make_plan"  # noqa: S101
    check_lists(prepared)
    listings = {split: list_images(prepared, split, seed) for split in prepared.splits}
    pixels = prepared.side**2 * 3 if encoding == "raw" else None
    outputs = {name: "" for name, *_ in divide(listings, shard_images)}
    held = _held(folder, outputs)
    files.require_space(folder, _space(listings, shard_images, held, pixels))
    ending = threading.Event()
    with closing(Tars()) as tars:
        begun = functools.partial(write, prepared=prepared, folder=folder, held=held)
        work = functools.partial(begun, seed=seed, encoding=encoding, tars=tars, ending=ending)
        shards = _shards(listings, shard_images)
        for shard, digest in pool.run(work, shards, workers, lambda one: one.name, ending=ending):
            outputs[shard.name] = digest
            (before if shard.name in held else done)(len(shard.images))
    files.write_json(folder / layout.CLASSES, prepared.classes.rows())
    outputs[layout.CLASSES] = files.sha256_file(folder / layout.CLASSES)
    counts: dict[str, int] = {}
    for split, listing in listings.items():
        counts[f"{split} images"] = len(listing)
        counts[f"{split} quarantined"] = sum(one["split"] == split for one in prepared.quarantine)
    details = {key: prepared.manifest.details[key] for key in ("edition", "side", "geometry")}
    sizes = manifest.sizes(folder, outputs)
    return manifest.finish(plan, folder / manifest.NAME, counts, outputs, details, sizes=sizes)


def _held(folder: Path, names: Collection[str]) -> dict[str, str]:
    """Return the sha256 of the shards that need not be written, empty where it is not known."""
    record = folder / manifest.NAME
    former = manifest.read(record, "pack") if record.exists() else None
    sizes, digests = (former.sizes, former.outputs) if former else ({}, {})
    there = [name for name in names if manifest.is_held(folder, name, sizes)]
    return {name: digests.get(name, "") for name in there}


def divide(
    listings: dict[str, SplitImages], shard_images: int
) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, split, first place and end of each shard."""
    for split, listing in listings.items():
        for number, start in enumerate(range(0, len(listing), shard_images)):
            end = min(start + shard_images, len(listing))
            yield layout.file_name(split, number), split, start, end


def _shards(listings: dict[str, SplitImages], shard_images: int) -> Iterator[ShardPlan]:
    """Yield the shards as they are asked for: their lists together would double the memory."""
    for name, split, start, end in divide(listings, shard_images):
        yield ShardPlan(name, split, listings[split].part(start, end))


def _space(
    listings: dict[str, SplitImages], shard_images: int, held: Collection[str], pixels: int | None
) -> int:
    """Return the bytes of the images of all shards that are not there yet.

    `pixels` are the bytes of a decoded image; none if they stay encoded.
    """
    shards = list(divide(listings, shard_images))
    if pixels is not None:
        return sum((end - start) * pixels for name, _, start, end in shards if name not in held)
    there = (listings[split].part(start, end) for name, split, start, end in shards if name in held)
    total = sum(listing.num_bytes() for listing in listings.values())
    return total - sum(int(images.size.sum()) for images in there)


def write(
    shard: ShardPlan,
    prepared: Prepared,
    folder: Path,
    seed: int,
    encoding: str,
    tars: Tars,
    held: Mapping[str, str],
    ending: threading.Event,
) -> str:
    """Write one shard, whole or not at all, unless it is there; return its sha256.

    Raises:
        CancelledError: Once `ending` is set.
    """
    path, images = folder / shard.name, shard.images
    if shard.name in held:
        return held[shard.name] or files.sha256_file(path)
    content = ImageBytes(images, prepared.side, encoding, tars)
    attributes = _attributes(shard, prepared, seed, encoding)
    laid_out = functools.partial(_lay_out, images, content, attributes)

    def pieces() -> Iterator[bytearray | memoryview]:
        head = laid_out().head
        yield head
        yield from content.pieces()
        ended = laid_out()
        if ended.head != head:
            raise RuntimeError(f"{path}: HDF5 laid the file out otherwise for other crc32")
        yield ended.tail

    with files.whole(path) as part, part.open("wb", buffering=0) as stream:
        return _pour(pieces(), stream, ending)


def _lay_out(images: Images, content: ImageBytes, attributes: dict[str, str | int]) -> FileWithHole:
    columns = {"labels": images.label, "names": images.name, "crc32": content.crcs}
    if content.encoding == "jpeg":
        columns["offsets"] = content.offsets
    name = layout.DATASETS[content.encoding]
    return lay_out(name, content.shape, columns, attributes)


def _pour(
    pieces: Iterator[bytearray | memoryview], stream: RawIOBase, ending: threading.Event
) -> str:
    """Write pieces and digest them, at the time at which the next is gathered; return the sha256.

    All three let other threads run: none holds the interpreter.
    """
    digest, taken = hashlib.sha256(), deque[Future[None]]()
    with ThreadPoolExecutor(1) as disk, ThreadPoolExecutor(1) as beside:
        for piece in pieces:
            if ending.is_set():
                raise CancelledError
            taken += disk.submit(_put, stream, piece), beside.submit(digest.update, piece)
            while len(taken) > 2 * AHEAD:
                taken.popleft().result()
        for one in taken:
            one.result()
    return digest.hexdigest()


def _put(stream: RawIOBase, piece: bytearray | memoryview) -> None:
    """Write a piece."""
    start, rest = stream.tell(), memoryview(piece)
    while rest:
        rest = rest[stream.write(rest) :]
    # Has the disk begin at once: the flush at the end then finds little to wait for.
    os.posix_fadvise(stream.fileno(), start, len(piece), os.POSIX_FADV_DONTNEED)


def _attributes(
    shard: ShardPlan, prepared: Prepared, seed: int, encoding: str
) -> dict[str, str | int]:
    return {
        "format": layout.FORMAT,
        "encoding": encoding,
        "edition": str(prepared.manifest.details["edition"]),
        "split": shard.split,
        "side": prepared.side,
        "num_classes": len(prepared.classes),
        "classes": prepared.classes.digest(),
        "images": prepared.digest,
        "seed": seed,
    }
