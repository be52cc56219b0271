"""Packs prepared images into shards, the training split shuffled once."""

import functools
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from alexrep import files, manifest, pool, system
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.prepared import Prepared
from alexrep.shards import layout, outline
from alexrep.shards.hdf5 import FileWithHole, lay_out
from alexrep.shards.image_bytes import AHEAD, ImageBytes, Tars
from alexrep.shards.listing import Images, SplitImages, list_images
from alexrep.shards.outline import Outline


@dataclass(frozen=True)
class ShardPlan:
    """A shard to write."""

    name: str
    split: str
    images: Images


class Known(NamedTuple):
    """What a manifest records of a shard that exists."""

    sha256: str
    """Empty if there is no manifest."""
    outline: Outline | None
    """None if there is no manifest, or one of before."""


class Written(NamedTuple):
    """The digests of a shard that was written, or existed."""

    sha256: str
    outline: Outline


def make_plan(prepared: Prepared, seed: int, shard_images: int, encoding: str = "jpeg") -> Plan:
    """Return the plan of pack: the settings and inputs that decide the shards' bytes."""
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
    """Write every missing shard, then the manifest.

    If pack had finished and shards were lost since, the others keep the digests of its
    manifest and are not read, so that verify still finds a fault in them.

    Args:
        prepared: The prepared images.
        folder: Folder of the shards.
        plan: From `make_plan`.
        workers: Number of shards written at a time, each by a thread.
        done: Called with the number of images of each shard that was written.
        before: Called with the number of images of each shard that existed already.

    Raises:
        DataError: If a prepared image or its record has changed.
    """
    seed, shard_images = plan.seed or 0, plan.settings["shard images"]
    encoding = str(plan.settings["encoding"])
    assert isinstance(shard_images, int), "set by make_plan"  # noqa: S101
    listings = {split: list_images(prepared, split, seed) for split in prepared.splits}
    pixels = prepared.side**2 * 3 if encoding == "raw" else None
    outputs = {name: "" for name, *_ in divide(listings, shard_images)}
    existing, outlines = _existing(folder, outputs), dict[str, JsonValue]()
    files.require_space(folder, _space(listings, shard_images, existing, pixels))
    ending = threading.Event()
    with closing(Tars()) as tars:
        work = functools.partial(write, prepared=prepared, folder=folder, existing=existing)
        work = functools.partial(work, seed=seed, encoding=encoding, tars=tars, ending=ending)
        shards = _shards(listings, shard_images)
        for shard, written in pool.run(work, shards, workers, lambda s: s.name, ending=ending):
            outputs[shard.name], outlines[shard.name] = written.sha256, written.outline._asdict()
            (before if shard.name in existing else done)(len(shard.images))
    files.write_json(folder / layout.CLASSES, prepared.classes.rows())
    outputs[layout.CLASSES] = files.sha256_file(folder / layout.CLASSES)
    counts: dict[str, int] = {}
    for split, listing in listings.items():
        counts[f"{split} images"] = len(listing)
        counts[f"{split} quarantined"] = sum(row["split"] == split for row in prepared.quarantine)
    details = {key: prepared.manifest.details[key] for key in ("edition", "side", "geometry")}
    details |= {key: prepared.manifest.settings[key] for key in ("quality", "filter", "resizer")}
    details[outline.KEY] = dict(sorted(outlines.items()))
    sizes = manifest.sizes(folder, outputs)
    return manifest.finish(plan, folder / manifest.NAME, counts, outputs, details, sizes=sizes)


def _existing(folder: Path, names: Collection[str]) -> dict[str, Known]:
    """Return what the manifest, if there is one, knows of the shards that exist."""
    record = folder / manifest.NAME
    former = manifest.read(record, "pack") if record.exists() else None
    sizes, digests = (former.sizes, former.outputs) if former else ({}, {})
    existing = [name for name in names if manifest.is_held(folder, name, sizes)]
    return {
        name: Known(digests.get(name, ""), outline.of_manifest(former, name) if former else None)
        for name in existing
    }


def divide(
    listings: dict[str, SplitImages], shard_images: int
) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, split, first image and end of each shard."""
    for split, listing in listings.items():
        for number, start in enumerate(range(0, len(listing), shard_images)):
            end = min(start + shard_images, len(listing))
            yield layout.file_name(split, number), split, start, end


def _shards(listings: dict[str, SplitImages], shard_images: int) -> Iterator[ShardPlan]:
    """Yield the shards one by one: the lists of all of them would double the memory."""
    for name, split, start, end in divide(listings, shard_images):
        yield ShardPlan(name, split, listings[split].part(start, end))


def _space(
    listings: dict[str, SplitImages],
    shard_images: int,
    existing: Collection[str],
    pixels: int | None,
) -> int:
    """Return the bytes of the images of all missing shards.

    `pixels` is the size of a decoded image in bytes; None if images stay encoded.
    """
    shards = list(divide(listings, shard_images))
    if pixels is not None:
        return sum((end - start) * pixels for name, _, start, end in shards if name not in existing)
    written = (
        listings[split].part(start, end) for name, split, start, end in shards if name in existing
    )
    total = sum(listing.num_bytes() for listing in listings.values())
    return total - sum(int(images.size.sum()) for images in written)


def write(
    shard: ShardPlan,
    prepared: Prepared,
    folder: Path,
    seed: int,
    encoding: str,
    tars: Tars,
    existing: Mapping[str, Known],
    ending: threading.Event,
) -> Written:
    """Write one shard, whole or not at all, unless it exists; return its digests.

    Raises:
        CancelledError: Once `ending` is set.
    """
    path, images = folder / shard.name, shard.images
    image_bytes = ImageBytes(images, prepared.side, encoding, tars)
    attributes = _attributes(shard, prepared, seed, encoding)
    laid_out = functools.partial(_lay_out, images, image_bytes, attributes)
    if shard.name in existing:
        known, empty = existing[shard.name], laid_out()
        end = max(len(empty.head), path.stat().st_size - len(empty.tail))
        outlined = known.outline or outline.of_file(path, len(empty.head), end)
        return Written(known.sha256 or files.sha256_file(path), outlined)
    ends = list[bytearray]()

    def pieces() -> Iterator[bytearray | memoryview]:
        head = laid_out().head
        yield head
        yield from image_bytes.pieces()
        final = laid_out()  # now with the crc32
        if final.head != head:
            raise RuntimeError(f"{path}: HDF5 wrote another head once the crc32 were known")
        ends.extend((head, final.tail))
        yield final.tail

    with files.whole(path) as part, part.open("wb", buffering=0) as stream:
        digest = _pour(pieces(), stream, ending)
        head, tail = ends
        end = stream.tell() - len(tail)
    outlined = outline.Outline(len(head), end, files.sha256_bytes(bytes(head + tail)))
    return Written(digest, outlined)


def _lay_out(
    images: Images, image_bytes: ImageBytes, attributes: dict[str, str | int]
) -> FileWithHole:
    columns = {"labels": images.label, "names": images.name, "crc32": image_bytes.crcs}
    if image_bytes.encoding == "jpeg":
        columns["offsets"] = image_bytes.offsets
    name = layout.DATASETS[image_bytes.encoding]
    return lay_out(name, image_bytes.shape, columns, attributes)


def _pour(
    pieces: Iterator[bytearray | memoryview], stream: RawIOBase, ending: threading.Event
) -> str:
    """Write and digest pieces while the next are read; return the sha256.

    Reading, writing and digesting all release the GIL.
    """
    digest, pending = hashlib.sha256(), deque[Future[None]]()
    with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as digester:
        for piece in pieces:
            if ending.is_set():
                raise CancelledError
            pending += writer.submit(_put, stream, piece), digester.submit(digest.update, piece)
            while len(pending) > 2 * AHEAD:
                pending.popleft().result()
        for future in pending:
            future.result()
    return digest.hexdigest()


def _put(stream: RawIOBase, piece: bytearray | memoryview) -> None:
    """Write a whole piece."""
    start, rest = stream.tell(), memoryview(piece)
    while rest:
        rest = rest[stream.write(rest) :]
    # Starts writing to the disk at once, so that the flush at the end is short.
    system.advise(stream.fileno(), start, len(piece), is_wanted=False)


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
