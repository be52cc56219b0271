"""Compares the prepared images of a data folder with their records."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from alexrep import files, pool
from alexrep.errors import AlexrepError, mismatch
from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import REPREPARE, Prepared, jpegs
from alexrep.prepare.units import between, record_of, tar_end


def compare(digests: dict[str, str], folder: Path, stage: str) -> Iterator[str]:
    """Compare a stage's files with their digests; yield a line for each fault."""
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            yield mismatch(path, "a file", "none", f"run {stage} again")
        elif files.sha256_file(path) != digest:
            advice = f"remove it and run {stage} again"
            yield mismatch(path, f"sha256 {digest[:12]}", "another", advice)


def check(
    prepared: Prepared, deep: bool, workers: int, done: Callable[[int], None]
) -> Iterator[str]:
    """Yield a line for each fault of the tars; lists that were changed are reported elsewhere.

    Args:
        prepared: The prepared images.
        deep: Whether to read every byte of the tars, not their sizes alone.
        workers: Processes at work.
        done: Called with the number of images read since the last call.
    """
    work = functools.partial(_read_unit if deep else _measure_unit, prepared=prepared)
    units = [unit for split in prepared.splits for unit in prepared.units(split)]
    for faults, num in pool.run_in_order(work, units, workers, str):
        yield from faults
        if num:
            done(num)


def _unchanged(prepared: Prepared, unit: str) -> bytes | None:
    """Return the content of a unit's list; None if it was changed or is missing."""
    record = record_of(prepared.folder, unit)
    if not record.is_file():
        return None
    content = files.read_bytes(record)
    is_same = files.sha256_bytes(content) == prepared.manifest.outputs[f"{unit}.jsonl"]
    return content if is_same else None


def _measure_unit(unit: str, prepared: Prepared) -> tuple[list[str], int]:
    """Check that a tar exists and reaches to the end of its last image, without reading it."""
    if (content := _unchanged(prepared, unit)) is None:
        return [], 0
    try:
        end, num_bytes = tar_end(content), prepared.num_bytes(unit)
    except AlexrepError as error:
        return [str(error)], 0
    except (ValueError, TypeError) as error:
        where = record_of(prepared.folder, unit)
        return [mismatch(where, "verdicts", error, "remove it and run preprocess again")], 0
    if num_bytes >= end:
        return [], 0
    return [mismatch(prepared.tar(unit), f"at least {end:,} bytes", f"{num_bytes:,}", REPREPARE)], 0


def _read_unit(unit: str, prepared: Prepared) -> tuple[list[str], int]:
    """Compare the prepared and the quarantined images of a unit with their digests."""
    faults, kept, split = list[str](), list[Verdict](), unit.split("/", maxsplit=1)[0]
    if _unchanged(prepared, unit) is None:
        return faults, 0
    try:
        for verdict, jpeg in jpegs(prepared, unit):
            kept.append(verdict)
            if files.sha256_bytes(jpeg) != verdict.sha256:
                where = f"{prepared.tar(unit)}: {verdict.name}"
                wanted = f"sha256 {verdict.sha256[:12]}"
                faults.append(mismatch(where, wanted, "another", REPREPARE))
        faults += _between(prepared.tar(unit), kept)
        digests = {
            f"quarantine/{split}/{verdict.name}": verdict.source_sha256
            for verdict in prepared.all_verdicts(unit)
            if verdict.verdict == "quarantined"
        }
        faults += compare(digests, prepared.folder, "preprocess")
    except AlexrepError as error:
        faults.append(str(error))
    return faults, len(kept)


def _between(tar: Path, verdicts: list[Verdict]) -> Iterator[str]:
    """Compare a tar's headers and padding with what preprocess writes."""
    with files.named(tar), tar.open("rb") as stream:
        for name, offset, wanted in between(verdicts):
            stream.seek(offset)
            if stream.read(len(wanted)) != wanted:
                yield mismatch(f"{tar}: {name}", "the bytes written there", "others", REPREPARE)
        if stream.read(1):
            yield mismatch(tar, f"{offset + len(wanted):,} bytes", "more", REPREPARE)
