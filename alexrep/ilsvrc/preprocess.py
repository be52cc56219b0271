"""Preparation of a whole edition: unit by unit, killed at any moment and started again."""

import dataclasses
import functools
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest, pool
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import archives, source
from alexrep.ilsvrc.editions import SPLITS
from alexrep.ilsvrc.repairs import Target, Verdict, prepare
from alexrep.ilsvrc.source import Source, Unit
from alexrep.manifest import Manifest, Plan
from alexrep.pixels import decode, rescale

BYTES_AN_IMAGE = 40_000
"""A prepared 256x256 JPEG of quality 90 has about 25 kB; for the check of free space."""


def make_plan(found: Source, target: Target, partial: bool) -> Plan:
    """State what decides the output."""
    settings: dict[str, JsonValue] = {
        "edition": found.edition.name,
        "partial": partial,
        "side": target.side,
        "geometry": target.geometry,
        "filter": rescale.FILTER,
        "quality": rescale.QUALITY,
        "subsampling": rescale.SUBSAMPLING,
        "decoder": decode.version(),
        "resizer": rescale.version(),
    }
    return Plan(stage="preprocess", settings=settings, inputs=found.digests)


def run(
    found: Source, images: Path, target: Target, workers: int, done: Callable[[int], None]
) -> None:
    """Prepare every unit that is not finished yet.

    Args:
        found: The raw archives.
        images: Folder for the output.
        target: How to prepare an image.
        workers: Processes at work.
        done: Called with the number of images of each unit that ends.

    Raises:
        DataError: If an archive is broken or a synset's count is wrong.
    """
    files.write_json(images / "classes.json", found.classes.rows())
    todo = []
    for unit in found.units:
        if _record(images, unit).exists():
            done(_count_lines(_record(images, unit)))
        else:
            todo.append(unit)
    files.require_space(images, _space(found, todo, target))
    work = functools.partial(prepare_unit, images=images, target=target)
    for _, count in pool.run(work, todo, workers, lambda unit: unit.name):
        done(count)


def finish(plan: Plan, found: Source, images: Path, partial: bool) -> Manifest:
    """Count the verdicts and write the manifest.

    Raises:
        DataError: If images are missing from the edition.
    """
    counts: Counter[str] = Counter()
    quarantine: list[JsonValue] = []
    outputs = {"classes.json": files.sha256_file(images / "classes.json")}
    for unit in found.units:
        record = _record(images, unit)
        outputs[str(record.relative_to(images))] = files.sha256_file(record)
        for verdict in read_verdicts(record):
            counts[f"{unit.split} images"] += 1
            counts[f"{unit.split} {verdict.verdict}"] += 1
            if verdict.verdict == "quarantined":
                entry = {"split": unit.split, "name": verdict.name, "why": verdict.why}
                quarantine.append(dict(entry))
    _check_counts(found, counts, partial)
    details: dict[str, JsonValue] = {
        "edition": found.edition.name,
        "side": plan.settings["side"],
        "geometry": plan.settings["geometry"],
        "classes": found.classes.digest(),
        "num_classes": len(found.classes),
        "units": [unit.name for unit in found.units],
        "quarantine": quarantine,
        "remarks": list(found.remarks),
    }
    return manifest.finish(plan, images / manifest.NAME, dict(counts), outputs, details)


def read_verdicts(record: Path) -> Iterator[Verdict]:
    """Read the verdicts of one finished unit.

    Raises:
        DataError: If they are missing, or a line is not a verdict.
    """
    if not record.exists():
        advice = "run preprocess in another folder"
        raise DataError(mismatch(record, "verdicts", "no file", advice))
    with record.open() as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Verdict(**json.loads(line))
            except (ValueError, TypeError) as error:
                where, advice = f"{record}: line {number}", "remove it and run again"
                raise DataError(mismatch(where, "a verdict", error, advice)) from None


def prepare_unit(unit: Unit, images: Path, target: Target) -> int:
    """Prepare one unit: its tar, then the record that makes it finished.

    Returns:
        The number of its images, those in quarantine included.

    Raises:
        DataError: If an archive is broken or the synset's count is wrong.
    """
    verdicts = []
    with files.whole(images / f"{unit.name}.tar") as part, tarfile.open(part, "w") as tar:
        for name, label, content, patched in _contents(unit):
            verdict, result = prepare(name, label, content, target, patched)
            if verdict.verdict == "quarantined":
                files.write_bytes(images / "quarantine" / unit.split / name, result)
            else:
                verdict = dataclasses.replace(verdict, offset=_append(tar, name, result))
            verdicts.append(verdict)
    lines = "".join(json.dumps(dataclasses.asdict(one)) + "\n" for one in verdicts)
    files.write_bytes(_record(images, unit), lines.encode())
    return len(verdicts)


def _contents(unit: Unit) -> Iterator[tuple[str, int, bytes, bool]]:
    """Yield name, label, bytes, and whether they are a patch's, in order of names."""
    is_train = unit.split == "train"
    listed = source.train_members(unit) if is_train else list(unit.members)
    labels = unit.labels * len(listed) if is_train else unit.labels
    entries = {one.name: (one, label) for one, label in zip(listed, labels, strict=True)}
    if len(entries) != len(listed):
        raise DataError(mismatch(unit.name, "each image once", "a name twice", "get the tar anew"))
    for name, patch in unit.patches.items():
        entries[name] = (patch, entries[name][1] if name in entries else unit.labels[0])
    if unit.num_expected not in (None, len(entries)):
        advice = "get the tar anew, or accept it with --partial"
        wanted = f"{unit.num_expected:,} images"
        raise DataError(mismatch(unit.name, wanted, f"{len(entries):,}", advice))
    for name in sorted(entries):
        member, label = entries[name]
        patched = name in unit.patches
        archive = unit.patch_archive if patched and unit.patch_archive else unit.archive
        yield name, label, archives.read(archive, member), patched


def _append(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file to a tar, without times or owners, and return where its bytes begin."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    offset = tar.offset + len(info.tobuf(tar.format, tar.encoding, tar.errors))
    tar.addfile(info, io.BytesIO(content))
    return offset


def _record(images: Path, unit: Unit) -> Path:
    return images / f"{unit.name}.jsonl"


def _count_lines(record: Path) -> int:
    return record.read_bytes().count(b"\n")


def _space(found: Source, todo: list[Unit], target: Target) -> int:
    images = sum(found.edition.num_images[split] for split in SPLITS)
    share = len(todo) / max(1, len(found.units))
    raw = sum(one.size for unit in todo for one in unit.members)
    expected = int(images * share * BYTES_AN_IMAGE * (target.side / 256) ** 2)
    return min(expected, 2 * raw + (1 << 20))


def _check_counts(found: Source, counts: Counter[str], partial: bool) -> None:
    wanted, held = found.edition.num_images["train"], counts["train images"]
    if held != wanted and not partial:
        advice = "get the tars anew, or accept them with --partial"
        where = found.edition.archives["train"]
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{held:,}", advice))


def total(found: Source) -> int:
    """Return the number of images to expect, for the progress display."""
    count = 0
    for unit in found.units:
        of_train = found.classes.synsets[unit.labels[0]].num_train_images
        count += of_train if unit.split == "train" else len(unit.members)
    return count
