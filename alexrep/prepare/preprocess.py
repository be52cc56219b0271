"""Preparation of a whole edition: unit by unit, killed at any moment and started again.

On a cluster each job takes a part of the units; the parts meet through the
records on disk, and the last one home writes the manifest.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, locks, manifest, pool
from alexrep.errors import DataError, ManifestError, examples, mismatch
from alexrep.ilsvrc.source import Source, Unit
from alexrep.manifest import Manifest, Plan
from alexrep.pixels import decode, rescale
from alexrep.prepare.image import Target
from alexrep.prepare.parts import WHOLE, Part
from alexrep.prepare.units import is_whole, prepare_unit, read_verdicts, record_of

JPEG_HEADER = 623
"""Bytes of a prepared JPEG that depend on no pixel."""
BESIDE = 1_200
"""Bytes of an image in its tar and record beside its JPEG: header, padding, verdict."""
ANYWAY = 1 << 20
"""Bytes of what is written once: classes, manifest, folders."""
MARGIN = 1.25
"""Need of space over the mean of the measured images, which vary by class."""


@dataclass(frozen=True)
class Preparation:
    """One preparation, begun."""

    found: Source
    images: Path
    """Folder for the output."""
    partial: bool
    plan: Plan
    record: Manifest | None
    """The manifest if all was finished before."""


def begin(
    found: Source, images: Path, target: Target, partial: bool, retry_failed: bool
) -> Preparation:
    """Compare what is asked with what stands on disk, and record it.

    Args:
        found: The raw archives.
        images: Folder for the output.
        target: How to prepare an image.
        partial: Whether fewer images than the edition has are accepted.
        retry_failed: Whether units with images in quarantine become unfinished again.

    Raises:
        DataError: If the devkit promises another number of images than the edition has.
        ManifestError: If the output belongs to other inputs or settings.
    """
    if not partial:
        _check_promise(found)
    plan = make_plan(found, target, partial)
    if retry_failed:
        forget_failed(plan, found, images)
    return Preparation(found, images, partial, plan, _begun(plan, images))


def finish_if_last(job: Preparation) -> Manifest | None:
    """Finish if no other part has units left; None if one has."""
    if missing(job.found, job.images):
        return None
    with locks.in_turn(job.images.parent):
        done = _begun(job.plan, job.images)
        # A manifest that stood before the work does not vouch for what was made anew.
        if done is not None and job.record is None:
            return done
        return finish(job.plan, job.found, job.images, job.partial)


def _begun(plan: Plan, images: Path) -> Manifest | None:
    """Compare a plan with what stands; what was begun without --partial may go on with it."""
    paths = images / manifest.NAME, images / "plan.json"
    is_eased = plan.settings["partial"] and not paths[0].exists()
    return manifest.begin(plan, *paths, remarks=("partial",) if is_eased else ())


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
    found: Source,
    images: Path,
    target: Target,
    workers: int,
    done: Callable[[int], None],
    part: Part = WHOLE,
    before: Callable[[int], None] = lambda num: None,
) -> None:
    """Prepare every unit of a part that is not finished yet.

    Args:
        found: The raw archives.
        images: Folder for the output.
        target: How to prepare an image.
        workers: Processes at work.
        done: Called with the number of images of each unit that ends.
        part: The share of the units to prepare.
        before: Called with the number of images of each unit that had ended before.

    Raises:
        DataError: If an archive is broken or a synset's count is wrong.
    """
    files.write_json(images / "classes.json", found.classes.rows())
    todo, sizes = [], _sizes(images)
    for unit in part.share(found.units):
        if is_whole(images, unit.name, sizes):
            before(_count_lines(record_of(images, unit.name)))
        else:
            todo.append(unit)
    files.require_space(images, _space(found, todo, target))
    work = functools.partial(prepare_unit, images=images, target=target)
    for _, count in pool.run(work, todo, workers, lambda unit: unit.name):
        done(count)


def missing(found: Source, images: Path) -> list[str]:
    """Return the names of the units that no part has finished yet, or that were lost since."""
    sizes = _sizes(images)
    return [unit.name for unit in found.units if not is_whole(images, unit.name, sizes)]


def require_all(found: Source, images: Path) -> None:
    """Refuse to finish before every part has.

    Raises:
        ManifestError: If units are missing; they are named.
    """
    rest = missing(found, images)
    if rest:
        held = f"{len(rest)} missing: {examples(rest)}"
        advice = "run the parts that have them"
        raise ManifestError(mismatch(images, f"{len(found.units)} units", held, advice))


def forget_failed(plan: Plan, found: Source, images: Path) -> list[str]:
    """Make each unit that holds an image in quarantine unfinished again.

    The manifest goes first: until the next finish the images do not exist for
    later stages. The archives may have changed since, for better copies of the
    failed images; settings, classes and labels may not.

    Returns:
        The names of these units.

    Raises:
        ManifestError: If the output belongs to other settings, classes or labels.
    """
    paths = images / manifest.NAME, images / "plan.json"
    known = manifest.planned(*paths)
    if known is None:
        return []
    archives = {**found.edition.archives, "patches": found.edition.patches}.values()
    former = {name: digest for name, digest in known.inputs.items() if name in archives}
    others = {name: digest for name, digest in plan.inputs.items() if name not in archives}
    _begun(plan.model_copy(update={"inputs": {**others, **former}}), images)
    held = [unit for unit in found.units if record_of(images, unit.name).exists()]
    failed = [unit for unit in held if _failed(images, unit)]
    if failed:
        (images / manifest.NAME).unlink(missing_ok=True)
        files.write_bytes(images / "plan.json", files.to_json(plan.model_dump()).encode())
    for unit in failed:
        for name in _failed(images, unit):
            (images / "quarantine" / unit.split / name).unlink(missing_ok=True)
        record_of(images, unit.name).unlink()
    return [unit.name for unit in failed]


def finish(plan: Plan, found: Source, images: Path, partial: bool) -> Manifest:
    """Count the verdicts and write the manifest.

    Raises:
        ManifestError: If units are missing.
        DataError: If images are missing from the edition, or an output is not what a
            manifest that stands says.
    """
    require_all(found, images)
    counts: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    quarantine: list[JsonValue] = []
    kept: list[str] = []
    outputs = {"classes.json": files.sha256_file(images / "classes.json")}
    for unit in found.units:
        record = record_of(images, unit.name)
        outputs[str(record.relative_to(images))] = files.sha256_file(record)
        for verdict in read_verdicts(record):
            counts[f"{unit.split} images"] += 1
            counts[f"{unit.split} {verdict.verdict}"] += 1
            reason = f"{verdict.verdict}: {verdict.why}" if verdict.why else verdict.verdict
            reasons.setdefault(unit.split, Counter())[reason] += 1
            if verdict.verdict == "quarantined":
                quarantine.append({"split": unit.split, "name": verdict.name, "why": verdict.why})
                kept.append(f"quarantine/{unit.split}/{verdict.name}")
    _check_counts(found, counts, partial)
    by_split: dict[str, JsonValue] = {split: dict(of) for split, of in reasons.items()}
    details: dict[str, JsonValue] = {
        "edition": found.edition.name,
        "side": plan.settings["side"],
        "geometry": plan.settings["geometry"],
        "classes": found.classes.digest(),
        "num_classes": len(found.classes),
        "units": [unit.name for unit in found.units],
        "quarantine": quarantine,
        "reasons": by_split,
        "remarks": list(found.remarks),
    }
    _check_former(images, outputs)
    sizes = manifest.sizes(images, [*outputs, *(f"{unit.name}.tar" for unit in found.units), *kept])
    record_file = images / manifest.NAME
    return manifest.finish(plan, record_file, dict(counts), outputs, details, sizes=sizes)


def _sizes(images: Path) -> dict[str, int]:
    """Return the sizes that a manifest that stands holds: its stage may have lost outputs."""
    path = images / manifest.NAME
    return manifest.read(path, "preprocess").sizes if path.exists() else {}


def _check_former(images: Path, outputs: dict[str, str]) -> None:
    """Refuse to vouch anew for what has changed since a manifest that stands was written."""
    path = images / manifest.NAME
    former = manifest.read(path, "preprocess").outputs if path.exists() else {}
    for name in former.keys() & outputs.keys():
        if former[name] != outputs[name]:
            advice = "remove it and run preprocess again"
            wanted = f"sha256 {former[name][:12]}"
            raise DataError(mismatch(images / name, wanted, "another", advice))


def _failed(images: Path, unit: Unit) -> list[str]:
    verdicts = read_verdicts(record_of(images, unit.name))
    return [one.name for one in verdicts if one.verdict == "quarantined"]


def _count_lines(record: Path) -> int:
    return record.read_bytes().count(b"\n")


def bytes_an_image(side: int) -> float:
    """Return the bytes to expect of a prepared image of `side` pixels, its tar included.

    Source: ours, 150 images of ILSVRC at sides from 32 to 1024; a larger side has less
    detail in a pixel. Without margin this is 0 to 8 % over the means up to 512, 23 % at 1024.
    """
    of_pixels = 0.31 * side * side * math.pow(256 / side, 0.3)
    return MARGIN * (JPEG_HEADER + of_pixels) + BESIDE


def _space(found: Source, todo: list[Unit], target: Target) -> int:
    num = sum(_count(found, unit, at_most=True) for unit in todo)
    return int(num * bytes_an_image(target.side)) + ANYWAY


def _check_promise(found: Source) -> None:
    """Refuse at once what `_check_counts` would refuse after hours."""
    wanted = found.edition.num_images["train"]
    expected = [unit.num_expected for unit in found.units if unit.split == "train"]
    promised = sum(num for num in expected if num is not None)
    if None not in expected and promised != wanted:
        where = f"{found.edition.name}'s devkit"
        advice = "put the edition's own there, or accept this one with --partial"
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{promised:,}", advice))


def _check_counts(found: Source, counts: Counter[str], partial: bool) -> None:
    wanted, held = found.edition.num_images["train"], counts["train images"]
    if held != wanted and not partial:
        advice = "download the tars again, or accept them with --partial"
        where = found.edition.archives["train"]
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{held:,}", advice))


def total(found: Source, part: Part = WHOLE) -> int:
    """Return the number of images to expect, for the progress display."""
    return sum(_count(found, unit) for unit in part.share(found.units))


def _count(found: Source, unit: Unit, at_most: bool = False) -> int:
    """Return the images that a unit should have; `at_most` those that its tar has room for."""
    if not unit.is_nested:
        return len(unit.members)
    promised = found.classes.synsets[unit.labels[0]].num_train_images
    # A header and a block of content, 512 bytes each.
    return min(promised, unit.members[0].size // 1024) if at_most else promised
