"""Prepares one unit: its images go to a tar, its verdicts to the record beside it."""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from alexrep import files, manifest
from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives
from alexrep.ilsvrc.folders import WNID_PREFIX
from alexrep.ilsvrc.unit import Unit, train_members
from alexrep.prepare.image import Target, Verdict, prepare

_QUARANTINED = b'"verdict": "quarantined"'
"""Marks the line of a quarantined image; names cannot hold it, as JSON escapes their quotes."""


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
    split, record = unit.split("/", maxsplit=1)[0], record_of(images, unit)
    lines = record.read_bytes().splitlines()
    try:
        quarantined = [from_json(line)["name"] for line in lines if _QUARANTINED in line]
        last = next((line for line in reversed(lines) if _QUARANTINED not in line), None)
        end = Verdict(**from_json(last)) if last is not None else Verdict("", 0, "", "", "")
    except (ValueError, TypeError, KeyError):
        return False
    names = [f"quarantine/{split}/{name}" for name in quarantined]
    size = (images / f"{unit}.tar").stat().st_size
    return size == _tar_size(end.offset + end.size) and all(
        manifest.is_held(images, name, sizes) for name in names
    )


def _tar_size(end: int) -> int:
    """Return the size of a tar whose last file ends at `end`, as `tarfile` closes it."""
    blocks = -(-end // tarfile.BLOCKSIZE) + 2
    return -(-blocks * tarfile.BLOCKSIZE // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def read_verdicts(record: Path, digest: str = "") -> Iterator[Verdict]:
    """Read the verdicts of one finished unit.

    Args:
        record: The unit's list of verdicts.
        digest: SHA-256 that the list must have, as the manifest says; any if empty.

    Raises:
        DataError: If they are missing, were changed, or a line is not a verdict.
    """
    try:
        content = record.read_bytes()
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
    with files.whole(images / f"{unit.name}.tar") as part, tarfile.open(part, "w") as tar:
        for name, label, content, patched in contents(unit):
            verdict, result = prepare(name, label, content, target, bool(patched))
            if patched:
                why = ", ".join(filter(None, (patched, verdict.why)))
                verdict = verdict._replace(why=why)
            if verdict.verdict == "quarantined":
                files.write_bytes(images / "quarantine" / unit.split / name, result)
            else:
                verdict = verdict._replace(offset=_append(tar, name, result))
            verdicts.append(verdict)
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
    is_train = unit.split == "train"
    listed = train_members(unit) if is_train else list(unit.members)
    labels = unit.labels * len(listed) if is_train else unit.labels
    entries = {member.name: (member, label) for member, label in zip(listed, labels, strict=True)}
    counts = Counter(member.name for member in listed)
    duplicates = sorted(name for name, count in counts.items() if count > 1)
    if duplicates:
        advice = "download the tar again"
        raise DataError(
            mismatch(unit.name, "each image once", f"{examples(duplicates)} twice", advice)
        )
    if is_train:
        _refuse_foreign(unit, list(entries))
    patched = {name: "replaced" if name in entries else "added" for name in unit.patches}
    for name, patch in unit.patches.items():
        entries[name] = (patch, entries[name][1] if name in entries else unit.labels[0])
    # Patches may add images to those the devkit counts.
    _check_count(unit, len(listed) if unit.is_partial else len(entries))
    for name in sorted(entries):
        member, label = entries[name]
        archive = unit.patch_archive if name in patched and unit.patch_archive else unit.archive
        yield name, label, archives.read(archive, member), patched.get(name, "")


def _mixed_contents(unit: Unit) -> Iterator[tuple[str, int, bytes, str]]:
    assert unit.reader is not None, "it is mixed"  # noqa: S101
    seen: set[str] = set()
    for name, label, content in unit.reader(unit):
        if name in seen:
            where, advice = f"{unit.archive.name}", "download it again"
            raise DataError(mismatch(where, "each image once", f"{name} twice", advice))
        seen.add(name)
        yield name, label, content, ""


def _refuse_foreign(unit: Unit, names: list[str]) -> None:
    """Refuse an image whose name is of another synset than the tar it lies in.

    Only in a set with a devkit: elsewhere, names need not begin with the synset.

    Source: the readmes of the devkits of 2010 and 2012, images are <wnid>_<number>.JPEG.
    """
    wnid = unit.name.removeprefix("train/")
    foreign = sorted(
        name for name in names if WNID_PREFIX.match(name) and not name.startswith(f"{wnid}_")
    )
    if foreign and unit.num_expected is not None:
        wanted, advice = f"images named {wnid}_*", "download the tar again"
        raise DataError(mismatch(unit.name, wanted, examples(foreign), advice))


def _check_count(unit: Unit, count: int) -> None:
    """Refuse a count that differs from the devkit's; a partial unit may have fewer."""
    wanted = unit.num_expected
    if wanted is None or count == wanted or (unit.is_partial and count < wanted):
        return
    expected = f"{'at most ' if unit.is_partial else ''}{wanted:,} images"
    advice = "download the tar again" + ("" if count > wanted else ", or accept it with --partial")
    raise DataError(mismatch(unit.name, expected, f"{count:,}", advice))


def _append(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file to a tar, without times or owners, and return the offset of its bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    offset = tar.offset + len(_header(info))
    tar.addfile(info, io.BytesIO(content))
    return offset


def _header(info: tarfile.TarInfo) -> bytes:
    """Return the header blocks of a file, as `tarfile` writes them."""
    return info.tobuf(tarfile.DEFAULT_FORMAT, tarfile.ENCODING, "surrogateescape")


def between(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, int, bytes]]:
    """Yield expected headers and padding, for verification.

    Args:
        verdicts: Those of the images in the tar, in order.

    Yields:
        A description, the offset in the tar, and the bytes expected there.
    """
    end = 0
    for verdict in verdicts:
        info = tarfile.TarInfo(verdict.name)
        info.size = verdict.size
        yield f"header of {verdict.name}", end, bytes(-end % tarfile.BLOCKSIZE) + _header(info)
        end = verdict.offset + verdict.size
    yield "end of the tar", end, bytes(_tar_size(end) - end)
