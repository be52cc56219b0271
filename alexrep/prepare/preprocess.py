"""Preparation of a whole edition: unit by unit, killed at any moment and started again.

On a cluster each job takes a part of the units; the parts meet through the
records on disk, and the last to end writes the manifest.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
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
    """One preparation: the request, and what exists on disk."""

    source: Source
    images: Path
    """Folder for the output."""
    target: Target
    partial: bool
    """Whether fewer images than the edition has are accepted."""
    plan: Plan
    retried: list[Unit]
    """Finished units that are to become unfinished again."""
    record: Manifest | None
    """The manifest if all is finished."""


def look(
    source: Source, images: Path, target: Target, partial: bool, retry_failed: bool
) -> Preparation:
    """Compare what is asked with what stands on disk; write nothing.

    Args:
        source: The raw archives.
        images: Folder for the output.
        target: How to prepare an image.
        partial: Whether fewer images than the edition has are accepted.
        retry_failed: Whether units with images in quarantine become unfinished again.

    Raises:
        DataError: If the devkit promises another number of images than the edition has.
        ManifestError: If the output belongs to other inputs or settings.
    """
    if not partial:
        _check_promise(source)
    plan = make_plan(source, target, partial)
    retried = _units_to_retry(plan, source, images) if retry_failed else []
    record = (
        None if retried else manifest.foresee(plan, *_files(images), remarks=_eased(plan, images))
    )
    return Preparation(source, images, target, partial, plan, retried, record)


def begin(
    source: Source, images: Path, target: Target, partial: bool, retry_failed: bool
) -> Preparation:
    """Look, record the plan, and make unfinished what is to be prepared anew; see `look`."""
    preparation = look(source, images, target, partial, retry_failed)
    if preparation.retried:
        _forget(preparation)
    return replace(preparation, record=_begin(preparation.plan, images))


def complete(
    begun: Preparation,
    workers: int,
    done: Callable[[int], None],
    part: Part = WHOLE,
    before: Callable[[int], None] = lambda num: None,
) -> Manifest | None:
    """Prepare a part's units and finish if no other part has any left; see `run`.

    What another process has finished since the look before the lock is not done again.
    """
    if begun.record is not None and not manifest.lost(begun.record, begun.images):
        return begun.record
    run(begun.source, begun.images, begun.target, workers, done, part, before)
    return finish_if_last(begun)


def finish_if_last(begun: Preparation) -> Manifest | None:
    """Finish if no other part has units left; None if one has."""
    if missing(begun.source, begun.images):
        return None
    with locks.in_turn(begun.images.parent):
        record = _begin(begun.plan, begun.images)
        # A manifest that stood before the work does not vouch for what was made anew.
        if record is not None and begun.record is None:
            return record
        return finish(begun.plan, begun.source, begun.images, begun.partial)


def _files(images: Path) -> tuple[Path, Path]:
    """Return where the manifest and the plan lie."""
    return images / manifest.NAME, images / "plan.json"


def _eased(plan: Plan, images: Path) -> Collection[str]:
    """Return what is not compared: what was begun without --partial may go on with it."""
    return ("partial",) if plan.settings["partial"] and not _files(images)[0].exists() else ()


def _begin(plan: Plan, images: Path) -> Manifest | None:
    """Compare a plan with what stands, and record it."""
    return manifest.begin(plan, *_files(images), remarks=_eased(plan, images))


def make_plan(source: Source, target: Target, partial: bool) -> Plan:
    """State what decides the output."""
    settings: dict[str, JsonValue] = {
        "edition": source.edition.name,
        "partial": partial,
        "side": target.side,
        "geometry": target.geometry,
        "filter": rescale.FILTER,
        "quality": rescale.QUALITY,
        "subsampling": rescale.SUBSAMPLING,
        "decoder": decode.version(),
        "resizer": rescale.version(),
    }
    return Plan(stage="preprocess", settings=settings, inputs=source.digests)


def run(
    source: Source,
    images: Path,
    target: Target,
    workers: int,
    done: Callable[[int], None],
    part: Part = WHOLE,
    before: Callable[[int], None] = lambda num: None,
) -> None:
    """Prepare every unit of a part that is not finished yet.

    Args:
        source: The raw archives.
        images: Folder for the output.
        target: How to prepare an image.
        workers: Processes at work.
        done: Called with the number of images of each unit that ends.
        part: Which of the units to prepare.
        before: Called with the number of images of each unit that had ended before.

    Raises:
        DataError: If an archive is broken or a synset's count is wrong.
    """
    files.write_json(images / "classes.json", source.classes.rows())
    todo, sizes = [], _sizes(images)
    for unit in part.pick(source.units):
        if is_whole(images, unit.name, sizes):
            before(_count_lines(record_of(images, unit.name)))
        else:
            todo.append(unit)
    files.require_space(images, _space(source, todo, target))
    work = functools.partial(prepare_unit, images=images, target=target)
    for _, count in pool.run(work, todo, workers, lambda unit: unit.name):
        done(count)


def missing(source: Source, images: Path) -> list[str]:
    """Return the names of the units that no part has finished yet, or that were lost since."""
    sizes = _sizes(images)
    return [unit.name for unit in source.units if not is_whole(images, unit.name, sizes)]


def require_all(source: Source, images: Path) -> None:
    """Refuse to finish before every part has.

    Raises:
        ManifestError: If units are missing; they are named.
    """
    rest = missing(source, images)
    if rest:
        lack = f"{len(rest)} missing: {examples(rest)}"
        advice = "run the parts that have them"
        raise ManifestError(mismatch(images, f"{len(source.units)} units", lack, advice))


def _units_to_retry(plan: Plan, source: Source, images: Path) -> list[Unit]:
    """Return the finished units that hold an image in quarantine.

    The archives may have changed since, for better copies of the failed images; settings,
    classes and labels may not.

    Raises:
        ManifestError: If the output belongs to other settings, classes or labels.
    """
    known = manifest.planned(*_files(images))
    if known is None:
        return []
    archives = {**source.edition.archives, "patches": source.edition.patches}.values()
    former = {name: digest for name, digest in known.inputs.items() if name in archives}
    others = {name: digest for name, digest in plan.inputs.items() if name not in archives}
    as_before = plan.model_copy(update={"inputs": {**others, **former}})
    manifest.foresee(as_before, *_files(images), remarks=_eased(plan, images))
    prepared = [unit for unit in source.units if record_of(images, unit.name).exists()]
    return [unit for unit in prepared if _failed(images, unit)]


def _forget(preparation: Preparation) -> None:
    """Make the units to retry unfinished.

    The manifest goes first: until the next finish the images do not exist for later stages.
    """
    record_file, plan_file = _files(preparation.images)
    record_file.unlink(missing_ok=True)
    files.write_bytes(plan_file, files.to_json(preparation.plan.model_dump()).encode())
    for unit in preparation.retried:
        for name in _failed(preparation.images, unit):
            (preparation.images / "quarantine" / unit.split / name).unlink(missing_ok=True)
        record_of(preparation.images, unit.name).unlink()


def finish(plan: Plan, source: Source, images: Path, partial: bool) -> Manifest:
    """Count the verdicts and write the manifest.

    Raises:
        ManifestError: If units are missing.
        DataError: If images are missing from the edition, or an output is not what a
            manifest that stands says.
    """
    require_all(source, images)
    counts: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    quarantine: list[JsonValue] = []
    kept_files: list[str] = []
    outputs = {"classes.json": files.sha256_file(images / "classes.json")}
    for unit in source.units:
        record = record_of(images, unit.name)
        outputs[str(record.relative_to(images))] = files.sha256_file(record)
        for verdict in read_verdicts(record):
            counts[f"{unit.split} images"] += 1
            counts[f"{unit.split} {verdict.verdict}"] += 1
            reason = f"{verdict.verdict}: {verdict.why}" if verdict.why else verdict.verdict
            reasons.setdefault(unit.split, Counter())[reason] += 1
            if verdict.verdict == "quarantined":
                quarantine.append({"split": unit.split, "name": verdict.name, "why": verdict.why})
                kept_files.append(f"quarantine/{unit.split}/{verdict.name}")
    _check_counts(source, counts, partial)
    by_split: dict[str, JsonValue] = {split: dict(of) for split, of in reasons.items()}
    details: dict[str, JsonValue] = {
        "edition": source.edition.name,
        "side": plan.settings["side"],
        "geometry": plan.settings["geometry"],
        "classes": source.classes.digest(),
        "num_classes": len(source.classes),
        "units": [unit.name for unit in source.units],
        "quarantine": quarantine,
        "reasons": by_split,
        "remarks": list(source.remarks),
    }
    _check_former(images, outputs)
    sizes = manifest.sizes(
        images, [*outputs, *(f"{unit.name}.tar" for unit in source.units), *kept_files]
    )
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
    return [verdict.name for verdict in verdicts if verdict.verdict == "quarantined"]


def _count_lines(record: Path) -> int:
    return record.read_bytes().count(b"\n")


def bytes_an_image(side: int) -> float:
    """Return the bytes to expect of a prepared image of `side` pixels, its tar included.

    Source: ours, 150 images of ILSVRC at sides from 32 to 1024; a larger side has less
    detail in a pixel. Without margin this is 0 to 8 % over the means up to 512, 23 % at 1024.
    """
    of_pixels = 0.31 * side * side * math.pow(256 / side, 0.3)
    return MARGIN * (JPEG_HEADER + of_pixels) + BESIDE


def _space(source: Source, todo: list[Unit], target: Target) -> int:
    num = sum(_count(source, unit, at_most=True) for unit in todo)
    return int(num * bytes_an_image(target.side)) + ANYWAY


def _check_promise(source: Source) -> None:
    """Refuse at once what `_check_counts` would refuse after hours."""
    wanted = source.edition.num_images["train"]
    expected = [unit.num_expected for unit in source.units if unit.split == "train"]
    promised = sum(num for num in expected if num is not None)
    if None not in expected and promised != wanted:
        where = f"{source.edition.name}'s devkit"
        advice = "put the edition's own there, or accept this one with --partial"
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{promised:,}", advice))


def _check_counts(source: Source, counts: Counter[str], partial: bool) -> None:
    wanted, counted = source.edition.num_images["train"], counts["train images"]
    if counted != wanted and not partial:
        advice = "download the tars again, or accept them with --partial"
        where = source.edition.archives["train"]
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{counted:,}", advice))


def total(source: Source, part: Part = WHOLE) -> int:
    """Return the number of images to expect, for the progress display."""
    return sum(_count(source, unit) for unit in part.pick(source.units))


def _count(source: Source, unit: Unit, at_most: bool = False) -> int:
    """Return the images that a unit should have; `at_most` those that its tar has room for."""
    if not unit.is_nested:
        return len(unit.members)
    promised = source.classes.synsets[unit.labels[0]].num_train_images
    # A header and a block of content, 512 bytes each.
    return min(promised, unit.members[0].size // 1024) if at_most else promised
