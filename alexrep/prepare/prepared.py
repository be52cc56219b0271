"""The prepared images of a data folder: units, verdicts, bytes."""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexrep import files, manifest
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.manifest import Manifest
from alexrep.prepare import record
from alexrep.prepare.image import Verdict
from alexrep.prepare.units import read_verdicts

REPREPARE = "remove the tar and run preprocess again"
"""Advice for a tar that does not match its record."""


@dataclass(frozen=True)
class Prepared:
    """The folder DATA/images of a finished preprocess."""

    folder: Path
    manifest: Manifest
    classes: ClassTable

    @property
    def digest(self) -> str:
        """Digest of the manifest, by which later stages name their input."""
        return manifest.digest(self.folder / manifest.NAME)

    @property
    def side(self) -> int:
        """Side of every image, in pixels."""
        side = self.manifest.details["side"]
        assert isinstance(side, int), "written as one"  # noqa: S101
        return side

    @property
    def is_mixed(self) -> bool:
        """Whether a unit holds images of any classes, in no order."""
        return self.manifest.details.get("mixed") is True

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        """Split, name and why of each quarantined image."""
        images: Any = self.manifest.details["quarantine"]
        return list(images)

    @property
    def splits(self) -> list[str]:
        """The splits that exist."""
        return list(dict.fromkeys(unit.split("/")[0] for unit in self._units))

    def units(self, split: str) -> list[str]:
        """Return the names of a split's units, in order."""
        return [unit for unit in self._units if unit.startswith(f"{split}/")]

    def all_verdicts(self, unit: str) -> Iterator[Verdict]:
        """Yield the verdicts of a unit's images, quarantined ones included, in order.

        Raises:
            DataError: If the list is missing or is not the one that the manifest vouches for.
        """
        name = f"{unit}.jsonl"
        return read_verdicts(self.folder / name, self.manifest.outputs[name])

    def verdicts(self, unit: str) -> list[Verdict]:
        """Return the verdicts of a unit's images that are not in quarantine, in order."""
        return [verdict for verdict in self.all_verdicts(unit) if verdict.verdict != "quarantined"]

    @property
    def num_train(self) -> int:
        """Number of training images that are not in quarantine."""
        counts = self.manifest.counts
        return counts.get("train images", 0) - counts.get("train quarantined", 0)

    def tar(self, unit: str) -> Path:
        """Return the tar of a unit."""
        return self.folder / f"{unit}.tar"

    def num_bytes(self, unit: str) -> int:
        """Return the size of a unit's tar.

        Raises:
            DataError: If it is missing.
        """
        try:
            return self.tar(unit).stat().st_size
        except FileNotFoundError:
            raise lost(self.tar(unit)) from None

    @property
    def _units(self) -> list[str]:
        units: Any = self.manifest.details["units"]
        return list(units)


def open_prepared(data: Path) -> Prepared:
    """Open the prepared images of a data folder.

    Raises:
        ManifestError: If preprocess has not finished there, or its manifest contradicts itself.
        DataError: If the class table is not the one that the manifest vouches for.
        UnicodeEncodeError: If this locale cannot encode the names of its files.
    """
    prepared = open_unchecked(data)
    table = prepared.folder / record.CLASSES
    wanted = prepared.manifest.outputs[record.CLASSES]
    if files.sha256_file(table) != wanted:
        message = mismatch(table, f"sha256 {wanted[:12]}", "another", record.ADVICE)
        raise DataError(message)
    return prepared


def open_unchecked(data: Path) -> Prepared:
    """Do as `open_prepared` does, with whatever class table is there: for verification.

    Raises:
        ManifestError: If preprocess has not finished there, or its manifest contradicts itself.
        DataError: If there is no class table.
        UnicodeEncodeError: If this locale cannot encode the names of its files.
    """
    path = data / "images" / manifest.NAME
    read = manifest.read(path, "preprocess")
    record.require_consistent(read, path)
    prepared = Prepared(path.parent, read, classes.read(path.parent / record.CLASSES))
    for split in prepared.splits:
        for unit in prepared.units(split):
            os.fsencode(unit)  # otherwise the file would be reported as missing
    return prepared


def jpegs(prepared: Prepared, unit: str) -> Iterator[tuple[Verdict, bytes]]:
    """Yield the verdict and the bytes of each image of a unit.

    Raises:
        DataError: If the tar is missing or shorter than its record.
    """
    tar = prepared.tar(unit)
    try:
        with tar.open("rb", buffering=0) as stream:
            for verdict in prepared.verdicts(unit):
                yield verdict, read_at(stream.fileno(), verdict, tar)
    except FileNotFoundError:
        raise lost(tar) from None


def lost(tar: Path) -> DataError:
    """Return the error for a missing tar of a unit."""
    return DataError(mismatch(tar, "prepared images", "no file", "run preprocess again"))


def require_unchanged(verdict: Verdict, content: bytes, tar: Path) -> None:
    """Check the CRC-32 of a prepared image.

    Args:
        verdict: The image's verdict.
        content: The bytes read.
        tar: The tar they were read from.

    Raises:
        DataError: If it differs from the recorded one.
    """
    crc32 = zlib.crc32(content)
    if verdict.crc32 not in (0, crc32):
        wanted, found = f"crc32 {verdict.crc32:08x}", f"{crc32:08x}"
        raise DataError(mismatch(f"{tar}: {verdict.name}", wanted, found, REPREPARE))


def read_at(descriptor: int, verdict: Verdict, tar: Path) -> bytes:
    """Read one prepared image from its tar's open descriptor.

    Raises:
        DataError: If the tar ends before the image does.
    """
    with files.named(tar):
        content = os.pread(descriptor, verdict.size, verdict.offset)
    if len(content) != verdict.size:
        where = f"{tar}: {verdict.name}"
        wanted, found = f"{verdict.size} bytes", f"{len(content)} bytes"
        raise DataError(mismatch(where, wanted, found, REPREPARE))
    return content
