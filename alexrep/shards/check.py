"""Verification of a data folder: every digest and count that the manifests record."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from alexrep import files, manifest
from alexrep.errors import AlexrepError, DataError, ManifestError, mismatch
from alexrep.manifest import Manifest
from alexrep.prepare.image_statistics import removal
from alexrep.prepare.prepared import REPREPARE, Prepared, jpegs, open_prepared
from alexrep.prepare.units import between, read_verdicts
from alexrep.shards import read, write
from alexrep.shards.layout import REPACK
from alexrep.shards.listing import Images, list_images

MOST = 10
"""Wrong labels of a shard that are named; the rest are counted."""


def check(data: Path, deep: bool, done: Callable[[int], None]) -> Iterator[str]:
    """Yield one line for each fault found in a data folder.

    Args:
        data: The data folder.
        deep: Whether to read every byte of the prepared tars as well.
        done: Called with the number of images read each time.

    Raises:
        ManifestError: If preprocess has not finished there.
    """
    record = manifest.read(data / "images" / manifest.NAME, "preprocess")
    yield from _compare(record.outputs, data / "images", "preprocess")
    try:
        prepared = open_prepared(data)
    except DataError as error:
        yield str(error)
        return  # what the later stages hold refers to the class table
    yield from _images(prepared, done) if deep else _tars(prepared)
    places = {stage: data / f"{stage}.{manifest.NAME}" for stage in ("mean", "pca")}
    for stage, path in {**places, "pack": data / "shards" / manifest.NAME}.items():
        if path.exists():
            yield from _stage(stage, path, prepared, done)


def _stage(
    stage: str, path: Path, prepared: Prepared, done: Callable[[int], None]
) -> Iterator[str]:
    """Compare what a later stage made with its record, and the record with the images."""
    try:
        record = manifest.read(path, stage)
    except ManifestError as error:
        yield str(error)
        return
    yield from _chain(record, prepared, path)
    if stage == "pack":
        yield from _foreign(record, path.parent)
        yield from _shards(record, path.parent, prepared, done)
    else:
        yield from _compare(record.outputs, path.parent, stage)


def _compare(digests: dict[str, str], folder: Path, stage: str) -> Iterator[str]:
    """Compare the files of a stage with their digests."""
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            yield mismatch(path, "a file", "none", f"run {stage} again")
        elif files.sha256_file(path) != digest:
            advice = f"remove it and run {stage} again"
            yield mismatch(path, f"sha256 {digest[:12]}", "another", advice)


def _chain(record: Manifest, prepared: Prepared, path: Path) -> Iterator[str]:
    """Compare the input that a stage names with the images as they are."""
    found = record.inputs.get("images", "none")
    if found != prepared.digest:
        advice = f"{removal(path.parent)}, and run mean and pca again"
        if record.stage == "pack":
            advice = f"remove {path.parent} and pack again"
        yield mismatch(path, f"images {prepared.digest[:12]}", found[:12], advice)


def held(data: Path) -> list[str]:
    """Return the names of the stages that have finished in a data folder, in their order."""
    stages = {"images": data / "images" / manifest.NAME}
    stages |= {stage: data / f"{stage}.{manifest.NAME}" for stage in ("mean", "pca")}
    stages["shards"] = data / "shards" / manifest.NAME
    return [stage for stage, path in stages.items() if path.exists()]


def _tars(prepared: Prepared) -> Iterator[str]:
    """Look whether every tar is there and reaches to its last image, without reading it."""
    for split in prepared.splits:
        for unit in prepared.units(split):
            try:
                end = max((one.offset + one.size for one in prepared.verdicts(unit)), default=0)
                found = prepared.num_bytes(unit)
            except AlexrepError as error:
                yield str(error)
                continue
            if found < end:
                wanted = f"at least {end:,} bytes"
                yield mismatch(prepared.tar(unit), wanted, f"{found:,}", REPREPARE)


def _images(prepared: Prepared, done: Callable[[int], None]) -> Iterator[str]:
    """Compare the prepared images, and those in quarantine, with their digests."""
    for split in prepared.splits:
        for unit in prepared.units(split):
            try:
                for verdict, content in jpegs(prepared, unit):
                    done(1)
                    if files.sha256_bytes(content) != verdict.sha256:
                        where = f"{prepared.tar(unit)}: {verdict.name}"
                        wanted = f"sha256 {verdict.sha256[:12]}"
                        yield mismatch(where, wanted, "another", REPREPARE)
                yield from _between(prepared, unit)
                held = read_verdicts(prepared.folder / f"{unit}.jsonl")
                kept = [one for one in held if one.verdict == "quarantined"]
                digests = {f"quarantine/{split}/{one.name}": one.source_sha256 for one in kept}
                yield from _compare(digests, prepared.folder, "preprocess")
            except AlexrepError as error:
                yield str(error)


def _between(prepared: Prepared, unit: str) -> Iterator[str]:
    """Compare what stands between the prepared images of a tar with what is written there."""
    tar = prepared.tar(unit)
    with tar.open("rb") as stream:
        for name, place, wanted in between(prepared.verdicts(unit)):
            stream.seek(place)
            if stream.read(len(wanted)) != wanted:
                yield mismatch(f"{tar}: {name}", "the bytes written there", "others", REPREPARE)
        if stream.read(1):
            yield mismatch(tar, f"{place + len(wanted):,} bytes", "more", REPREPARE)


def _foreign(packed: Manifest, shards: Path) -> Iterator[str]:
    """Name the shards that the manifest does not."""
    for path in sorted(shards.glob("*.h5")):
        if path.name not in packed.outputs:
            yield mismatch(path, "only the shards of the manifest", "a foreign one", "remove it")


def _shards(
    packed: Manifest, shards: Path, prepared: Prepared, done: Callable[[int], None]
) -> Iterator[str]:
    """Read every image of every shard, and count."""
    counts: Counter[str] = Counter()
    listed = _listed(packed, prepared)
    for name, digest in packed.outputs.items():
        path = shards / name
        if not path.is_file():
            yield mismatch(path, "a file", "none", "pack again")
            continue
        faults, num = list[str](), 0
        if path.suffix == ".h5":
            faults, num = _shard(path, prepared, listed.get(name), done)
        counts[f"{name.split('-')[0]} images"] += num
        yield from faults
        if not faults and files.sha256_file(path) != digest:
            yield mismatch(path, f"sha256 {digest[:12]}", "another", REPACK)
    for key, wanted in packed.counts.items():
        if key.endswith("images") and counts[key] != wanted:
            yield mismatch(shards, f"{wanted} {key}", counts[key], "pack again")


def _listed(packed: Manifest, prepared: Prepared) -> dict[str, Callable[[], Images]]:
    """Return how to list the prepared images of each shard, in the order of packing.

    There are none where a list of prepared images is damaged, which is a fault of its own.
    """
    found: dict[str, Callable[[], Images]] = {}
    num = packed.settings["shard images"]
    assert isinstance(num, int), "set by write.make_plan"  # noqa: S101
    for split in prepared.splits:
        lists = {k: v for k, v in prepared.manifest.outputs.items() if k.startswith(f"{split}/")}
        if any(_compare(lists, prepared.folder, "preprocess")):
            continue
        listing = list_images(prepared, split, packed.seed or 0)
        for name, _, start, end in write.divide({split: listing}, num):
            found[name] = partial(listing.part, start, end)
    return found


def _others(shard: read.Shard, images: Images) -> list[str]:
    """Name the first image of a shard that is not the one of the lists, and count the rest."""
    if len(shard) != len(images):
        return [mismatch(shard.path, f"{len(images):,} images", f"{len(shard):,}", REPACK)]
    wrong = np.flatnonzero((shard.names != images.name) | (shard.labels != images.label))
    if not len(wrong):
        return []
    row, more = wrong.item(0), f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    wanted, found = (
        f"{os.fsdecode(names[row])} with label {labels[row]}"
        for names, labels in ((images.name, images.label), (shard.names, shard.labels))
    )
    where, advice = f"{shard.path}: image {row}", f"remove {shard.path} and pack again"
    return [mismatch(where, wanted, f"{found}{more}", advice)]


def _shard(
    path: Path,
    prepared: Prepared,
    listed: Callable[[], Images] | None,
    done: Callable[[int], None],
) -> tuple[list[str], int]:
    """Return the faults of one shard and its number of images."""
    faults, table = list[str](), prepared.classes
    try:
        shard = read.open_shard(path)
    except AlexrepError as error:
        return [str(error)], 0
    one = read.Split([shard], 0, table)
    for index in range(len(one)):
        try:
            one.read(index)
        except AlexrepError as error:
            faults.append(str(error))
    one.close()
    wrong = read.wrong_labels(shard, len(table)).tolist()
    faults += [read.label_fault(shard, row, len(table)) for row in wrong[:MOST]]
    if len(wrong) > MOST:
        faults.append(f"{path}: and {len(wrong) - MOST} more such labels")
    if not wrong and listed is not None:
        faults += _others(shard, listed())
    done(len(shard))
    return faults, len(shard)
