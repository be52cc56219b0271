"""The prepared images of a data folder as a source, from which a smaller set can be made."""

import dataclasses
from pathlib import Path

from pydantic import JsonValue

from alexrep import manifest
from alexrep.errors import ConfigError, mismatch
from alexrep.ilsvrc.editions import FOLDER, NAMED
from alexrep.ilsvrc.folders import ClassFile
from alexrep.ilsvrc.unit import Source, Unit, read_members
from alexrep.prepare.prepared import Prepared


def is_prepared(folder: Path) -> bool:
    """Tell whether preprocess has begun to write to `folder`; else it holds originals."""
    return any((folder / "images" / name).exists() for name in (manifest.NAME, "plan.json"))


def of_prepared(prepared: Prepared) -> Source:
    """Return the prepared images as a source; those in quarantine are left out, and counted.

    Raises:
        DataError: If a record or a tar is missing.
    """
    units = [
        unit
        for split in prepared.splits
        for name in prepared.units(split)
        for unit in _units(prepared, name)
    ]
    facts, numbers = prepared.manifest.details, {"train": 0, "val": 0, "test": 0}
    for unit in units:
        numbers[unit.split] += unit.num_images
    name = str(facts["edition"])
    edition = dataclasses.replace(NAMED.get(name, FOLDER), name=name, num_images=numbers)
    num = len(prepared.quarantine)
    left_out = f"of the prepared images, {num:,} in quarantine cannot be taken"
    kept = ("side", "geometry", "quality", "filter")
    settings = prepared.manifest.settings
    details: dict[str, JsonValue] = {"prepared": {key: settings.get(key) for key in kept}}
    if "groups" in facts:
        details["groups"] = facts["groups"]
    return Source(
        edition=edition,
        classes=prepared.classes,
        units=tuple(units),
        digests={"images": prepared.digest},
        remarks=(left_out,) if num else (),
        details=details,
    )


def _units(prepared: Prepared, name: str) -> list[Unit]:
    """Return a unit, or none if all of its images are in quarantine."""
    prepared.num_bytes(name)  # is there
    verdicts = prepared.verdicts(name)
    members = tuple(
        ClassFile(verdict.name, verdict.offset, verdict.size, 0, verdict.crc32)
        for verdict in verdicts
    )
    labels = tuple(verdict.label for verdict in verdicts)
    if not members:
        return []
    if prepared.is_mixed:
        return [Unit(name, prepared.tar(name), members, labels, reader=read_members)]
    if name.startswith("train/"):
        labels = labels[:1]
    return [Unit(name, prepared.tar(name), members, labels)]


def require_smaller(prepared: Prepared, side: int) -> None:
    """Refuse a side above that of the prepared images, which would only be blurred.

    Raises:
        ConfigError: If it is above.
    """
    if side > prepared.side:
        wanted, advice = f"at most {prepared.side}, as prepared", "shrink the originals instead"
        raise ConfigError(mismatch("--side", wanted, side, advice))
