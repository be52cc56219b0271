"""The end of a preparation: every verdict counted, and the manifest written."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest
from alexrep.errors import DataError, ManifestError, examples, mismatch
from alexrep.ilsvrc.source import Source
from alexrep.manifest import Manifest, Plan
from alexrep.prepare.units import is_whole, read_verdicts, record_of


@dataclass
class Tally:
    """What became of the images of an edition."""

    counts: Counter[str] = field(default_factory=Counter)
    """Images and verdicts by split: "train images", "val quarantined"."""
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """Verdicts with their reasons, by split."""
    quarantine: list[JsonValue] = field(default_factory=list)
    """Split, name and reason of each image in quarantine."""
    records: dict[str, str] = field(default_factory=dict)
    """Digest of each unit's record, by its path below the images."""
    kept: list[str] = field(default_factory=list)
    """Paths of the originals in quarantine, below the images."""


def missing(source: Source, images: Path) -> list[str]:
    """Return the names of the units that no part has finished yet, or that were lost since."""
    sizes = former_sizes(images)
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


def tally(source: Source, images: Path) -> Tally:
    """Count the verdicts of all units."""
    total = Tally()
    for unit in source.units:
        record = record_of(images, unit.name)
        total.records[str(record.relative_to(images))] = files.sha256_file(record)
        for verdict in read_verdicts(record):
            total.counts[f"{unit.split} images"] += 1
            total.counts[f"{unit.split} {verdict.verdict}"] += 1
            reason = f"{verdict.verdict}: {verdict.why}" if verdict.why else verdict.verdict
            total.reasons.setdefault(unit.split, Counter())[reason] += 1
            if verdict.verdict == "quarantined":
                split, name, why = unit.split, verdict.name, verdict.why
                total.quarantine.append({"split": split, "name": name, "why": why})
                total.kept.append(f"quarantine/{split}/{name}")
    return total


def write_manifest(plan: Plan, source: Source, images: Path, partial: bool) -> Manifest:
    """Count the verdicts and write the manifest.

    Raises:
        ManifestError: If units are missing.
        DataError: If images are missing from the edition, or an output is not what a
            manifest that stands says.
    """
    require_all(source, images)
    counted = tally(source, images)
    _check_counts(source, counted.counts, partial)
    by_split: dict[str, JsonValue] = {split: dict(of) for split, of in counted.reasons.items()}
    details: dict[str, JsonValue] = {
        "edition": source.edition.name,
        "side": plan.settings["side"],
        "geometry": plan.settings["geometry"],
        "classes": source.classes.digest(),
        "num_classes": len(source.classes),
        "units": [unit.name for unit in source.units],
        "quarantine": counted.quarantine,
        "reasons": by_split,
        "remarks": list(source.remarks),
    }
    outputs = {"classes.json": files.sha256_file(images / "classes.json"), **counted.records}
    _check_former(images, outputs)
    tars = [f"{unit.name}.tar" for unit in source.units]
    sizes = manifest.sizes(images, [*outputs, *tars, *counted.kept])
    record_file = images / manifest.NAME
    return manifest.finish(plan, record_file, dict(counted.counts), outputs, details, sizes=sizes)


def former_sizes(images: Path) -> dict[str, int]:
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


def _check_counts(source: Source, counts: Counter[str], partial: bool) -> None:
    wanted, counted = source.edition.num_images["train"], counts["train images"]
    if counted != wanted and not partial:
        advice = "download the tars again, or accept them with --partial"
        where = source.edition.archives["train"]
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{counted:,}", advice))
