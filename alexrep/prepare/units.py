"""Prepares one unit: its images go to a tar, its verdicts to the record beside it."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from alexrep import files, manifest
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import archives
from alexrep.ilsvrc.entries import entries
from alexrep.ilsvrc.unit import Unit
from alexrep.prepare import tar_blocks
from alexrep.prepare.image import Target, Verdict, prepare

_QUARANTINED = b'"verdict": "quarantined"'
"""Marks the line of a quarantined image; names cannot hold it, as JSON escapes their quotes."""
_BUFFER = 1 << 17
"""Bytes of a tar that are written at a time."""


def record_of(images: Path, unit: str) -> Path:
    """Return the path of a unit's record, which is written last; see `is_whole`."""
    return images / f"{unit}.jsonl"


def is_whole(images: Path, unit: str, sizes: Mapping[str, int]) -> bool:
    """Tell whether a unit is finished: its record and every file that the record names.

    Args:
        images: Output folder.
        unit: Name of the unit.
        sizes: Recorded sizes of output files, in bytes, by path relative to `images`.
    """
    # Most unfinished units have no files yet: skip reading the record.
    if not all(manifest.is_held(images, f"{unit}.{kind}", sizes) for kind in ("jsonl", "tar")):
        return False
    split, content = unit.split("/", maxsplit=1)[0], files.read_bytes(record_of(images, unit))
    try:
        lines = content.splitlines()
        quarantined = [from_json(line)["name"] for line in lines if _QUARANTINED in line]
        end = tar_end(content)
    except (ValueError, TypeError, KeyError):
        return False
    names = [f"quarantine/{split}/{name}" for name in quarantined]
    size = (images / f"{unit}.tar").stat().st_size
    return size == tar_blocks.size_of(end) and all(
        manifest.is_held(images, name, sizes) for name in names
    )


def tar_end(record: bytes) -> int:
    """Return where the last image of a unit's tar ends; a million verdicts are not parsed for it.

    Args:
        record: The content of the unit's record.

    Raises:
        ValueError: If its last line is no JSON.
        TypeError: If that is no verdict.
    """
    lines = reversed(record.splitlines())
    last = next((line for line in lines if _QUARANTINED not in line), None)
    verdict = Verdict(**from_json(last)) if last is not None else Verdict("", 0, "", "", "")
    return verdict.offset + verdict.size


def read_verdicts(record: Path, digest: str = "") -> Iterator[Verdict]:
    """Read the verdicts of one finished unit.

    Args:
        record: The unit's list of verdicts.
        digest: SHA-256 that the list must have, as the manifest says; any if empty.

    Raises:
        DataError: If they are missing, were changed, or a line is not a verdict.
    """
    try:
        content = files.read_bytes(record)
    except FileNotFoundError:
        advice = "run preprocess again"
        raise DataError(mismatch(record, "verdicts", "no file", advice)) from None
    if digest and files.sha256_bytes(content) != digest:
        wanted, advice = f"sha256 {digest[:12]}", "remove it and run preprocess again"
        raise DataError(mismatch(record, wanted, "another", advice))
    for number, line in enumerate(io.BytesIO(content), start=1):
        try:
            yield _verdict(from_json(line))
        except (ValueError, TypeError) as error:
            where, advice = f"{record}: line {number}", "remove it and run preprocess again"
            raise DataError(mismatch(where, "a verdict", error, advice)) from None


def _verdict(fields: object) -> Verdict:
    """Build a verdict from its JSON object; fields in their usual order take half the time."""
    if isinstance(fields, dict) and tuple(fields) == Verdict._fields:
        return Verdict._make(fields.values())
    return Verdict(**cast(dict[str, Any], fields))


def prepare_unit(unit: Unit, images: Path, target: Target) -> int:
    """Prepare one unit: write its tar, then the record that marks it finished.

    Returns:
        The number of its images, quarantined ones included.

    Raises:
        DataError: If an archive is broken or the synset's count is wrong.
    """
    verdicts = []
    with files.whole(images / f"{unit.name}.tar") as part, part.open("wb", _BUFFER) as stream:
        tar = tar_blocks.Writer(stream)
        for name, label, content, patched in contents(unit):
            verdict, result = prepare(name, label, content, target, bool(patched))
            if patched:
                why = ", ".join(filter(None, (patched, verdict.why)))
                verdict = verdict._replace(why=why)
            if verdict.verdict == "quarantined":
                files.write_bytes(images / "quarantine" / unit.split / name, result)
            else:
                verdict = verdict._replace(offset=tar.append(name, result))
            verdicts.append(verdict)
        tar.close()
    lines = "".join(json.dumps(verdict._asdict()) + "\n" for verdict in verdicts)
    files.write_bytes(record_of(images, unit.name), lines.encode())
    return len(verdicts)


def contents(unit: Unit) -> Iterator[tuple[str, int, bytes, str]]:
    """Yield name, label, bytes, and "added" or "replaced" if patched.

    They come in order of names, those of a mixed unit in that of its archive.

    Raises:
        DataError: If an archive is broken or the synset's count is wrong.
    """
    if unit.reader is not None:
        yield from _mixed_contents(unit)
        return
    listed = entries(unit)
    with archives.reader(unit.archive) as read:
        for entry in listed:
            is_own = entry.archive == unit.archive
            content = read(entry.member) if is_own else entry.read()
            yield entry.name, entry.label, content, entry.patched


def _mixed_contents(unit: Unit) -> Iterator[tuple[str, int, bytes, str]]:
    assert unit.reader is not None, "it is mixed"  # noqa: S101
    seen: set[str] = set()
    for name, label, content in unit.reader(unit):
        if name in seen:
            where, advice = f"{unit.archive.name}", "download it again"
            raise DataError(mismatch(where, "each image once", f"{name} twice", advice))
        seen.add(name)
        yield name, label, content, ""


def between(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, int, bytes]]:
    """Yield expected headers and padding, for verification.

    Args:
        verdicts: Those of the images in the tar, in order.

    Yields:
        A description, the offset in the tar, and the bytes expected there.
    """
    end = 0
    for verdict in verdicts:
        header = tar_blocks.header(verdict.name, verdict.size)
        yield f"header of {verdict.name}", end, tar_blocks.padding(end) + header
        end = verdict.offset + verdict.size
    yield "end of the tar", end, tar_blocks.closing(end)
