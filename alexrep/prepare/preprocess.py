"""Preparation of a whole edition: unit by unit, killed at any moment and started again.

On a cluster each job takes a part of the units; the parts meet through the
records on disk, and the last to end writes the manifest.
"""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, locks, manifest, pool
from alexrep.ilsvrc.unit import Source, Unit
from alexrep.manifest import Manifest, Plan
from alexrep.pixels import decode, rescale
from alexrep.prepare import expected, finish
from alexrep.prepare.image import Target
from alexrep.prepare.parts import WHOLE, Part
from alexrep.prepare.units import is_whole, prepare_unit, read_verdicts, record_of

ADVICE = "ask for the same images and classes, or name another folder"
"""What to do where a folder holds other prepared images; they may be worth hours."""
MANY = 100_000
"""From so many images on, counting their verdicts takes seconds."""


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
    """Compare the request with the plan and manifest on disk; write nothing.

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
        expected.check_promise(source)
    plan = make_plan(source, target, partial)
    retried = _units_to_retry(plan, source, images) if retry_failed else []
    record = None
    if not retried:
        record = manifest.foresee(plan, *_files(images), ADVICE, _eased(plan, images))
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
    say: Callable[[str], None] = lambda text: None,
) -> Manifest | None:
    """Prepare a part's units and finish if no other part has any left; see `run`.

    What another process has finished since the look before the lock is not done again. `say` is
    told when the last unit is done and there is something to wait for yet.
    """
    if begun.record is not None and not manifest.lost(begun.record, begun.images):
        return begun.record
    run(begun.source, begun.images, begun.target, workers, done, part, before)
    return finish_if_last(begun, say)


def finish_if_last(
    begun: Preparation, say: Callable[[str], None] = lambda text: None
) -> Manifest | None:
    """Finish if no other part has units left; None if one has."""
    if finish.missing(begun.source, begun.images):
        return None
    if expected.total(begun.source) >= MANY:
        say("every image is prepared; counting the verdicts and digesting their lists")
    with locks.in_turn(begun.images.parent):
        record = _begin(begun.plan, begun.images)
        # A manifest that stood before the work does not vouch for what was made anew.
        if record is not None and begun.record is None:
            return record
        return finish.write_manifest(begun.plan, begun.source, begun.images, begun.partial)


def _files(images: Path) -> tuple[Path, Path]:
    """Return where the manifest and the plan lie."""
    return images / manifest.NAME, images / "plan.json"


def _eased(plan: Plan, images: Path) -> Collection[str]:
    """Return what is not compared: what was begun without --partial may go on with it."""
    return ("partial",) if plan.settings["partial"] and not _files(images)[0].exists() else ()


def _begin(plan: Plan, images: Path) -> Manifest | None:
    """Compare a plan with the one on disk, and record it."""
    return manifest.begin(plan, *_files(images), ADVICE, _eased(plan, images))


def make_plan(source: Source, target: Target, partial: bool) -> Plan:
    """State what decides the output."""
    settings: dict[str, JsonValue] = {
        "edition": source.edition.name,
        "partial": partial,
        "side": target.side,
        "geometry": target.geometry,
        "filter": target.resampling,
        "quality": target.quality,
        "subsampling": rescale.SUBSAMPLING,
        "decoder": decode.version(),
        "resizer": rescale.version(),
        **source.settings,
    }
    return Plan(stage="preprocess", settings=settings, seed=source.seed, inputs=source.digests)


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
    todo, sizes = [], finish.recorded_sizes(images)
    for unit in part.pick(source.units):
        if is_whole(images, unit.name, sizes):
            before(_count_lines(record_of(images, unit.name)))
        else:
            todo.append(unit)
    files.require_space(images, expected.num_bytes(source, todo, target))
    work = functools.partial(prepare_unit, images=images, target=target)
    for _, count in pool.run(work, todo, workers, lambda unit: unit.name):
        done(count)


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
    manifest.foresee(as_before, *_files(images), ADVICE, _eased(plan, images))
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


def _failed(images: Path, unit: Unit) -> list[str]:
    verdicts = read_verdicts(record_of(images, unit.name))
    return [verdict.name for verdict in verdicts if verdict.verdict == "quarantined"]


def _count_lines(record: Path) -> int:
    return files.read_bytes(record).count(b"\n")
