"""Finishes a preparation: counts all verdicts and writes the manifest."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest
from alexrep.errors import DataError, ManifestError, examples, mismatch
from alexrep.ilsvrc.unit import Source
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.units import is_whole, read_verdicts, record_of


@dataclass
class Tally:
    """Counts and lists of verdicts over a whole edition."""

    counts: Counter[str] = field(default_factory=Counter)
    """Number of images and of each verdict by split, as "train images", "val quarantined"."""
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """Number of images by verdict and reason, by split."""
    quarantine: list[JsonValue] = field(default_factory=list)
    """Split, name and reason of each quarantined image."""
    records: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each unit's record, by its path relative to the images folder."""
    kept: list[str] = field(default_factory=list)
    """Paths of the quarantined originals, relative to the images folder."""


def missing(source: Source, images: Path) -> list[str]:
    """Return the names of units that are not finished, or were lost since."""
    sizes = recorded_sizes(images)
    return [unit.name for unit in source.units if not is_whole(images, unit.name, sizes)]


def require_all(source: Source, images: Path) -> None:
    """Refuse to finish while units are missing.

    Raises:
        ManifestError: If units are missing; they are named.
    """
    names = missing(source, images)
    if names:
        found = f"{len(names)} missing: {examples(names)}"
        advice = "run the parts that have them"
        raise ManifestError(mismatch(images, f"{len(source.units)} units", found, advice))


def tally(source: Source, images: Path) -> Tally:
    """Count the verdicts of all units."""
    total = Tally()
    for unit in source.units:
        record = record_of(images, unit.name)
        total.records[str(record.relative_to(images))] = files.sha256_file(record)
        of_unit: Counter[tuple[str, str]] = Counter()
        for verdict in read_verdicts(record):
            of_unit[verdict.verdict, verdict.why] += 1
            if verdict.verdict == "quarantined":
                split, name, why = unit.split, verdict.name, verdict.why
                total.quarantine.append({"split": split, "name": name, "why": why})
                total.kept.append(f"quarantine/{split}/{name}")
        _add(total, unit.split, of_unit)
    return total


def _add(total: Tally, split: str, of_unit: Counter[tuple[str, str]]) -> None:
    """Add how often each pair of verdict and reason came in a unit."""
    reasons = total.reasons.setdefault(split, Counter()) if of_unit else Counter()
    for (verdict, why), num in of_unit.items():
        total.counts[f"{split} images"] += num
        total.counts[f"{split} {verdict}"] += num
        reasons[f"{verdict}: {why}" if why else verdict] += num


def write_manifest(plan: Plan, source: Source, images: Path, partial: bool) -> Manifest:
    """Count the verdicts and write the manifest.

    Raises:
        ManifestError: If units are missing.
        DataError: If images are missing from the edition, or an output differs from that in
            an existing manifest.
    """
    require_all(source, images)
    totals = tally(source, images)
    _check_counts(source, totals.counts, partial)
    by_split: dict[str, JsonValue] = {split: dict(of) for split, of in totals.reasons.items()}
    details: dict[str, JsonValue] = {
        "edition": source.edition.name,
        "side": plan.settings["side"],
        "geometry": plan.settings["geometry"],
        "classes": source.classes.digest(),
        "num_classes": len(source.classes),
        "units": [unit.name for unit in source.units],
        "quarantine": totals.quarantine,
        "reasons": by_split,
        "remarks": list(source.remarks),
        **({"mixed": True} if source.is_mixed else {}),
        **source.details,
    }
    outputs = {"classes.json": files.sha256_file(images / "classes.json"), **totals.records}
    _check_unchanged(images, outputs)
    tars = [f"{unit.name}.tar" for unit in source.units]
    sizes = manifest.sizes(images, [*outputs, *tars, *totals.kept])
    record_file = images / manifest.NAME
    return manifest.finish(plan, record_file, dict(totals.counts), outputs, details, sizes=sizes)


def recorded_sizes(images: Path) -> dict[str, int]:
    """Return the sizes of outputs recorded in an existing manifest; empty if there is none."""
    path = images / manifest.NAME
    return manifest.read(path, "preprocess").sizes if path.exists() else {}


def _check_unchanged(images: Path, outputs: dict[str, str]) -> None:
    """Refuse outputs that differ from those recorded in an existing manifest."""
    path = images / manifest.NAME
    recorded = manifest.read(path, "preprocess").outputs if path.exists() else {}
    for name in recorded.keys() & outputs.keys():
        if recorded[name] != outputs[name]:
            advice = "remove it and run preprocess again"
            wanted = f"sha256 {recorded[name][:12]}"
            raise DataError(mismatch(images / name, wanted, "another", advice))


def _check_counts(source: Source, counts: Counter[str], partial: bool) -> None:
    """Refuse a wrong count of train, and of the splits that the survey could not count."""
    if partial or (source.edition.is_open and not source.is_listed):
        return
    splits = dict.fromkeys(unit.split for unit in source.units)
    for split in ("train",) if source.is_listed else splits:
        wanted, counted = source.edition.num_images[split], counts[f"{split} images"]
        if counted != wanted:
            advice = "download the tars again, or accept them with --partial"
            where = source.edition.archives[split]
            raise DataError(mismatch(where, f"{wanted:,} {split} images", f"{counted:,}", advice))
