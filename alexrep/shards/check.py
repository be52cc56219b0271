"""Verify a data folder against every digest and count in its manifests."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from alexrep import files, manifest, seal
from alexrep.errors import AlexrepError, DataError, ManifestError, mismatch
from alexrep.manifest import Manifest
from alexrep.prepare.image_statistics import removal
from alexrep.prepare.prepared import REPREPARE, Prepared, jpegs, open_unchecked
from alexrep.prepare.units import between
from alexrep.shards import outline, read, write
from alexrep.shards.layout import REPACK
from alexrep.shards.listing import Images, list_images

MOST = 10
"""Wrong labels reported for one shard; the rest are counted."""


def check(data: Path, deep: bool, done: Callable[[int], None]) -> Iterator[str]:
    """Yield one line for each fault found in a data folder.

    Args:
        data: The data folder.
        deep: Whether to read every byte of the prepared tars, too.
        done: Called with the number of images read since the last call.

    Raises:
        ManifestError: If preprocess has not finished.
    """
    record = manifest.read(data / "images" / manifest.NAME, "preprocess")
    yield from _compare(record.outputs, data / "images", "preprocess")
    try:
        prepared = open_unchecked(data)
    except (DataError, ManifestError) as error:
        yield str(error)
        return  # the later stages refer to the class table
    yield from _images(prepared, done) if deep else _tars(prepared)
    for stage, path in _manifests(data).items():
        if stage != "preprocess" and path.exists():
            yield from _stage(stage, path, prepared, done)


def _stage(
    stage: str, path: Path, prepared: Prepared, done: Callable[[int], None]
) -> Iterator[str]:
    """Compare a later stage's outputs with its manifest, and the manifest with the images."""
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
        yield from _num_images(record, path, prepared)


def _num_images(record: Manifest, path: Path, prepared: Prepared) -> Iterator[str]:
    """Compare how many images a mean image or colour axes were made of with those there are."""
    counts = {"train images": prepared.num_train}
    counts["pixels"] = prepared.num_train * prepared.side**2
    for key, wanted in counts.items():
        if record.counts.get(key) != wanted:
            advice = f"{removal(path.parent)}, and run mean and pca again"
            yield mismatch(path, f"{wanted:,} {key}", record.counts.get(key), advice)


def _compare(digests: dict[str, str], folder: Path, stage: str) -> Iterator[str]:
    """Compare a stage's files with their digests."""
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            yield mismatch(path, "a file", "none", f"run {stage} again")
        elif files.sha256_file(path) != digest:
            advice = f"remove it and run {stage} again"
            yield mismatch(path, f"sha256 {digest[:12]}", "another", advice)


def _chain(record: Manifest, prepared: Prepared, path: Path) -> Iterator[str]:
    """Compare the images digest in a stage's manifest with that of the prepared images."""
    recorded = record.inputs.get("images", "none")
    if recorded != prepared.digest:
        advice = f"{removal(path.parent)}, and run mean and pca again"
        if record.stage == "pack":
            advice = f"remove {path.parent} and pack again"
        yield mismatch(path, f"images {prepared.digest[:12]}", recorded[:12], advice)


def finished_outputs(data: Path) -> list[str]:
    """Name the outputs whose stages have finished in a data folder, in the stages' order."""
    names = {"preprocess": "images", "pack": "shards"}
    return [names.get(stage, stage) for stage, path in _manifests(data).items() if path.exists()]


def unfinished_stages(data: Path) -> list[str]:
    """Name the stages that have not finished in a data folder, in the stages' order."""
    return [stage for stage, path in _manifests(data).items() if not path.exists()]


def unsealed_outputs(data: Path) -> list[str]:
    """Name the outputs whose manifests no digest vouches for, as of versions before."""
    manifests = [path for path in _manifests(data).values() if path.exists()]
    return [str(path.relative_to(data)) for path in manifests if not seal.is_sealed(path)]


def _manifests(data: Path) -> dict[str, Path]:
    """Return the manifest's path of each stage, in the stages' order."""
    return {
        "preprocess": data / "images" / manifest.NAME,
        "mean": data / f"mean.{manifest.NAME}",
        "pca": data / f"pca.{manifest.NAME}",
        "pack": data / "shards" / manifest.NAME,
    }


def _tars(prepared: Prepared) -> Iterator[str]:
    """Check that every tar exists and reaches to the end of its last image, without reading it."""
    for split in prepared.splits:
        for unit in _unchanged(prepared, split):
            try:
                ends = [image.offset + image.size for image in prepared.verdicts(unit)]
                end, num_bytes = max(ends, default=0), prepared.num_bytes(unit)
            except AlexrepError as error:
                yield str(error)
                continue
            if num_bytes < end:
                wanted = f"at least {end:,} bytes"
                yield mismatch(prepared.tar(unit), wanted, f"{num_bytes:,}", REPREPARE)


def _images(prepared: Prepared, done: Callable[[int], None]) -> Iterator[str]:
    """Compare the prepared and the quarantined images with their digests."""
    for split in prepared.splits:
        for unit in _unchanged(prepared, split):
            try:
                for verdict, jpeg in jpegs(prepared, unit):
                    done(1)
                    if files.sha256_bytes(jpeg) != verdict.sha256:
                        where = f"{prepared.tar(unit)}: {verdict.name}"
                        wanted = f"sha256 {verdict.sha256[:12]}"
                        yield mismatch(where, wanted, "another", REPREPARE)
                yield from _between(prepared, unit)
                digests = {
                    f"quarantine/{split}/{verdict.name}": verdict.source_sha256
                    for verdict in prepared.all_verdicts(unit)
                    if verdict.verdict == "quarantined"
                }
                yield from _compare(digests, prepared.folder, "preprocess")
            except AlexrepError as error:
                yield str(error)


def _unchanged(prepared: Prepared, split: str) -> Iterator[str]:
    """Yield the units of a split but for those whose lists were changed, which is reported."""
    for unit in prepared.units(split):
        list_of = {f"{unit}.jsonl": prepared.manifest.outputs[f"{unit}.jsonl"]}
        if not any(_compare(list_of, prepared.folder, "preprocess")):
            yield unit


def _between(prepared: Prepared, unit: str) -> Iterator[str]:
    """Compare a tar's headers and padding with what preprocess writes."""
    tar = prepared.tar(unit)
    with files.named(tar), tar.open("rb") as stream:
        for name, offset, wanted in between(prepared.verdicts(unit)):
            stream.seek(offset)
            if stream.read(len(wanted)) != wanted:
                yield mismatch(f"{tar}: {name}", "the bytes written there", "others", REPREPARE)
        if stream.read(1):
            yield mismatch(tar, f"{offset + len(wanted):,} bytes", "more", REPREPARE)


def _foreign(packed: Manifest, shards: Path) -> Iterator[str]:
    """Report shards that the manifest does not list."""
    for path in sorted(shards.glob("*.h5")):
        if path.name not in packed.outputs:
            yield mismatch(path, "only the shards of the manifest", "a foreign one", "remove it")


def _shards(
    packed: Manifest, shards: Path, prepared: Prepared, done: Callable[[int], None]
) -> Iterator[str]:
    """Read every image of every shard, and compare the counts."""
    counts: Counter[str] = Counter()
    expected = _expected(packed, prepared)
    for name, digest in packed.outputs.items():
        path = shards / name
        if not path.is_file():
            yield mismatch(path, "a file", "none", "pack again")
            continue
        faults, num = list[str](), 0
        if path.suffix == ".h5":
            if unreadable := _unreadable(packed, path, digest):
                yield unreadable
                continue
            faults, num = _shard(path, prepared, expected.get(name), done)
        counts[f"{name.split('-')[0]} images"] += num
        yield from faults
        if not faults and files.sha256_file(path) != digest:
            yield mismatch(path, f"sha256 {digest[:12]}", "another", REPACK)
    for key, wanted in packed.counts.items():
        if key.endswith("images") and counts[key] != wanted:
            yield mismatch(shards, f"{wanted} {key}", counts[key], "pack again")


def _unreadable(packed: Manifest, path: Path, digest: str) -> str | None:
    """Return the fault of a shard that HDF5 must not open; None if it may.

    One of another outline may still be read, to say which images are wrong.
    """
    recorded = outline.of_manifest(packed, path.name)
    try:
        if recorded is None:
            is_sound = files.sha256_file(path) == digest
        else:
            is_sound = outline.of_file(path, recorded.start, recorded.end) == recorded
        if not is_sound:
            outline.require_openable(path)
    except DataError as error:
        return str(error)
    return None


def _expected(packed: Manifest, prepared: Prepared) -> dict[str, Callable[[], Images]]:
    """Return a function for each shard that lists the images it should hold, in order.

    Splits whose lists of prepared images are damaged are left out: that is reported elsewhere.
    """
    expected: dict[str, Callable[[], Images]] = {}
    num = packed.settings["shard images"]
    assert isinstance(num, int), "set by write.make_plan"  # noqa: S101
    for split in prepared.splits:
        lists = {k: v for k, v in prepared.manifest.outputs.items() if k.startswith(f"{split}/")}
        if any(_compare(lists, prepared.folder, "preprocess")):
            continue
        listing = list_images(prepared, split, packed.seed or 0)
        for name, _, start, end in write.divide({split: listing}, num):
            expected[name] = partial(listing.part, start, end)
    return expected


def _foreign_images(shard: read.Shard, images: Images) -> list[str]:
    """Report the first image of a shard that is not the expected one, and count the rest."""
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
    expected: Callable[[], Images] | None,
    done: Callable[[int], None],
) -> tuple[list[str], int]:
    """Return the faults of one shard and its number of images."""
    faults, table = list[str](), prepared.classes
    try:
        shard = read.open_shard(path)
    except AlexrepError as error:
        return [str(error)], 0
    split = read.Split([shard], 0, table)
    for index in range(len(split)):
        try:
            split.read(index)
        except AlexrepError as error:
            faults.append(str(error))
    split.close()
    wrong = read.wrong_labels(shard, len(table)).tolist()
    faults += [read.label_fault(shard, row, len(table)) for row in wrong[:MOST]]
    if len(wrong) > MOST:
        faults.append(f"{path}: and {len(wrong) - MOST} more such labels")
    if not wrong and expected is not None:
        faults += _foreign_images(shard, expected())
    done(len(shard))
    return faults, len(shard)
