"""Verify a data folder against every digest and count in its manifests."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from alexrep import files, manifest, pool, seal
from alexrep.errors import AlexrepError, DataError, ManifestError, mismatch
from alexrep.ilsvrc.classes import ClassTable
from alexrep.manifest import Manifest
from alexrep.prepare import check as prepared_images
from alexrep.prepare.check import compare
from alexrep.prepare.image_statistics import removal
from alexrep.prepare.prepared import Prepared, open_unchecked
from alexrep.shards import outline, read, write
from alexrep.shards.layout import REPACK
from alexrep.shards.listing import Images, list_images

MOST = 10
"""Wrong labels reported for one shard; the rest are counted."""


def check(data: Path, deep: bool, done: Callable[[int], None], workers: int = 1) -> Iterator[str]:
    """Yield one line for each fault found in a data folder, in the same order for any `workers`.

    Args:
        data: The data folder.
        deep: Whether to read every byte of the prepared tars, too.
        done: Called with the number of images read since the last call.
        workers: Processes at work.

    Raises:
        ManifestError: If preprocess has not finished.
    """
    record = manifest.read(data / "images" / manifest.NAME, "preprocess")
    yield from compare(record.outputs, data / "images", "preprocess")
    try:
        prepared = open_unchecked(data)
    except (DataError, ManifestError) as error:
        yield str(error)
        return  # the later stages refer to the class table
    yield from prepared_images.check(prepared, deep, workers if deep else 1, done)
    for stage, path in _manifests(data).items():
        if stage != "preprocess" and path.exists():
            yield from _stage(stage, path, prepared, done, workers)


def _stage(
    stage: str, path: Path, prepared: Prepared, done: Callable[[int], None], workers: int
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
        yield from _shards(record, path.parent, prepared, done, workers)
    else:
        yield from compare(record.outputs, path.parent, stage)
        yield from _num_images(record, path, prepared)


def _num_images(record: Manifest, path: Path, prepared: Prepared) -> Iterator[str]:
    """Compare how many images a mean image or colour axes were made of with those there are."""
    counts = {"train images": prepared.num_train}
    counts["pixels"] = prepared.num_train * prepared.side**2
    for key, wanted in counts.items():
        if record.counts.get(key) != wanted:
            advice = f"{removal(path.parent)}, and run mean and pca again"
            yield mismatch(path, f"{wanted:,} {key}", record.counts.get(key), advice)


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


def _foreign(packed: Manifest, shards: Path) -> Iterator[str]:
    """Report shards that the manifest does not list."""
    for path in sorted(shards.glob("*.h5")):
        if path.name not in packed.outputs:
            yield mismatch(path, "only the shards of the manifest", "a foreign one", "remove it")


def _shards(
    packed: Manifest,
    shards: Path,
    prepared: Prepared,
    done: Callable[[int], None],
    workers: int,
) -> Iterator[str]:
    """Read every image of every shard, and compare the counts."""
    counts: Counter[str] = Counter()
    expected = _expected(packed, prepared)
    work = partial(_file, packed=packed, shards=shards, table=prepared.classes)
    # Lists are made as they are taken: those of all shards would take gigabytes.
    files_of_pack = (
        (name, expected[name]() if name in expected else None) for name in packed.outputs
    )
    for name, (faults, num) in zip(
        packed.outputs,
        pool.run_in_order(work, files_of_pack, workers, lambda item: item[0]),
        strict=True,
    ):
        counts[f"{name.split('-')[0]} images"] += num
        yield from faults
        if num:
            done(num)
    for key, wanted in packed.counts.items():
        if key.endswith("images") and counts[key] != wanted:
            yield mismatch(shards, f"{wanted} {key}", counts[key], "pack again")


def _file(
    item: tuple[str, Images | None], packed: Manifest, shards: Path, table: ClassTable
) -> tuple[list[str], int]:
    """Return the faults of one file of pack, and its number of images.

    Args:
        item: Its name, and the images that it should hold, in order; None if that is not known.
        packed: The manifest of pack.
        shards: The folder of both.
        table: The class table.
    """
    name, expected = item
    path, digest = shards / name, packed.outputs[name]
    if not path.is_file():
        return [mismatch(path, "a file", "none", "pack again")], 0
    faults, num = list[str](), 0
    if path.suffix == ".h5":
        if unreadable := _unreadable(packed, path, digest):
            return [unreadable], 0
        faults, num = _shard(path, table, expected)
    if not faults and files.sha256_file(path) != digest:
        faults = [mismatch(path, f"sha256 {digest[:12]}", "another", REPACK)]
    return faults, num


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
        if any(compare(lists, prepared.folder, "preprocess")):
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


def _shard(path: Path, table: ClassTable, expected: Images | None) -> tuple[list[str], int]:
    """Return the faults of one shard and its number of images."""
    faults = list[str]()
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
        faults += _foreign_images(shard, expected)
    return faults, len(shard)
