"""The outline of a shard: all of its bytes but the images', a few hundred kilobytes.

HDF5 follows what it finds there: on damaged bytes it may loop for ever, deaf to signals. So
pack records a digest of the outline, and it is compared before HDF5 opens the file. The image
bytes have their own crc32.
"""

import os
from pathlib import Path
from typing import NamedTuple

from alexrep import files, guarded
from alexrep.errors import DataError, mismatch
from alexrep.manifest import Manifest
from alexrep.shards.layout import REPACK

KEY = "outlines"
"""Name in the details of pack's manifest."""


class Outline(NamedTuple):
    """Where the image bytes lie in a shard, and the digest of all others."""

    start: int
    """Offset of the first image byte in the file."""
    end: int
    """Offset after the last image byte."""
    sha256: str
    """SHA-256 of the bytes before `start` and from `end` on."""


def of_file(path: Path, start: int, end: int) -> Outline:
    """Read the outline of a shard whose image bytes lie from `start` to `end`."""
    with files.named(path), path.open("rb") as stream:
        head = stream.read(start)
        stream.seek(end)
        return Outline(start, end, files.sha256_bytes(head + stream.read()))


def of_manifest(record: Manifest, name: str) -> Outline | None:
    """Return the outline of a shard that its manifest holds; None in one of before."""
    outlines = record.details.get(KEY)
    row = outlines.get(name) if isinstance(outlines, dict) else None
    return Outline(**row) if isinstance(row, dict) else None  # type: ignore[arg-type]


def require(path: Path, outline: Outline) -> None:
    """Compare the outline of a shard with the recorded one.

    Raises:
        DataError: If they differ, or the file is missing.
    """
    try:
        size = os.stat(path).st_size
        is_same = size >= outline.end and of_file(path, outline.start, outline.end) == outline
    except FileNotFoundError:
        raise DataError(mismatch(path, "a shard", "no file", "pack again")) from None
    if not is_same:
        wanted = f"a shard, with an outline of sha256 {outline.sha256[:12]}"
        raise DataError(mismatch(path, wanted, "another", REPACK))


def require_openable(*paths: Path) -> None:
    """Try to open shards of which no digest is known, in a process of its own.

    Raises:
        DataError: If HDF5 crashes on one, or does not end; the first such is named.
    """
    texts = [str(path) for path in paths if path.exists()]
    is_one = len(texts) == 1
    if not texts or (not is_one and guarded.fault("alexrep.shards.read:try_open", *texts) is None):
        return
    for text in texts:
        if found := guarded.fault("alexrep.shards.read:try_open", text):
            raise DataError(mismatch(text, "a shard", found, REPACK))
