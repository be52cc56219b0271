"""One unit of preparation: its images to a tar, its verdicts to the record beside it."""

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from alexrep import files, manifest
from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc import archives, source
from alexrep.ilsvrc.source import Unit
from alexrep.prepare.image import Target, Verdict, prepare

_QUARANTINED = b'"verdict": "quarantined"'
"""What the line of an image in quarantine holds; a quote in a name is escaped."""
WNID = re.compile("n[0-9]{8}_")
"""Begin of the name of a training image of ILSVRC."""


def record_of(images: Path, unit: str) -> Path:
    """Return the file that is written last of a unit; see `is_whole`."""
    return images / f"{unit}.jsonl"


def is_whole(images: Path, unit: str, sizes: Mapping[str, int]) -> bool:
    """Tell whether a unit is finished: its record, and all that the record tells of.

    Args:
        images: Folder of the output.
        unit: Its name.
        sizes: Bytes of the files of the output, where they are recorded.
    """
    # Most units that are not finished have nothing yet: the record is read of the others only.
    if not all(manifest.is_held(images, f"{unit}.{kind}", sizes) for kind in ("jsonl", "tar")):
        return False
    split, record = unit.split("/", maxsplit=1)[0], record_of(images, unit)
    lines = record.read_bytes().splitlines()
    try:
        kept = [from_json(line)["name"] for line in lines if _QUARANTINED in line]
        last = next((line for line in reversed(lines) if _QUARANTINED not in line), None)
        end = Verdict(**from_json(last)) if last is not None else Verdict("", 0, "", "", "")
    except (ValueError, TypeError, KeyError):
        return False
    names = [f"quarantine/{split}/{name}" for name in kept]
    size = (images / f"{unit}.tar").stat().st_size
    return size == _tar_size(end.offset + end.size) and all(
        manifest.is_held(images, name, sizes) for name in names
    )


def _tar_size(end: int) -> int:
    """Return the bytes of a tar whose last file ends at `end`: two empty blocks, whole records."""
    blocks = -(-end // tarfile.BLOCKSIZE) + 2
    return -(-blocks * tarfile.BLOCKSIZE // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def read_verdicts(record: Path) -> Iterator[Verdict]:
    """Read the verdicts of one finished unit.

    Raises:
        DataError: If they are missing, or a line is not a verdict.
    """
    if not record.exists():
        advice = "run preprocess again"
        raise DataError(mismatch(record, "verdicts", "no file", advice))
    with record.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _verdict(from_json(line))
            except (ValueError, TypeError) as error:
                where, advice = f"{record}: line {number}", "remove it and run preprocess again"
                raise DataError(mismatch(where, "a verdict", error, advice)) from None


def _verdict(fields: object) -> Verdict:
    """Make a verdict of its fields by name; where they are as written, in half the time."""
    if isinstance(fields, dict) and tuple(fields) == Verdict._fields:
        return Verdict._make(fields.values())
    return Verdict(**cast(dict[str, Any], fields))


def prepare_unit(unit: Unit, images: Path, target: Target) -> int:
    """Prepare one unit: its tar, then the record that makes it finished.

    Returns:
        The number of its images, those in quarantine included.

    Raises:
        DataError: If an archive is broken or the synset's count is wrong.
    """
    verdicts = []
    with files.whole(images / f"{unit.name}.tar") as part, tarfile.open(part, "w") as tar:
        for name, label, content, deed in _contents(unit):
            verdict, result = prepare(name, label, content, target, bool(deed))
            if deed:
                why = ", ".join(filter(None, (deed, verdict.why)))
                verdict = verdict._replace(why=why)
            if verdict.verdict == "quarantined":
                files.write_bytes(images / "quarantine" / unit.split / name, result)
            else:
                verdict = verdict._replace(offset=_append(tar, name, result))
            verdicts.append(verdict)
    lines = "".join(json.dumps(one._asdict()) + "\n" for one in verdicts)
    files.write_bytes(record_of(images, unit.name), lines.encode())
    return len(verdicts)


def _contents(unit: Unit) -> Iterator[tuple[str, int, bytes, str]]:
    """Yield name, label, bytes, and what a patch did there if one did, in order of names."""
    is_train = unit.split == "train"
    listed = source.train_members(unit) if is_train else list(unit.members)
    labels = unit.labels * len(listed) if is_train else unit.labels
    entries = {one.name: (one, label) for one, label in zip(listed, labels, strict=True)}
    twice = sorted(name for name, num in Counter(one.name for one in listed).items() if num > 1)
    if twice:
        advice = "download the tar again"
        raise DataError(mismatch(unit.name, "each image once", f"{examples(twice)} twice", advice))
    if is_train:
        _refuse_foreign(unit, list(entries))
    deeds = {name: "replaced" if name in entries else "added" for name in unit.patches}
    for name, patch in unit.patches.items():
        entries[name] = (patch, entries[name][1] if name in entries else unit.labels[0])
    # Patches may add to what the devkit promises.
    _check_count(unit, len(listed) if unit.is_partial else len(entries))
    for name in sorted(entries):
        member, label = entries[name]
        archive = unit.patch_archive if name in deeds and unit.patch_archive else unit.archive
        yield name, label, archives.read(archive, member), deeds.get(name, "")


def _refuse_foreign(unit: Unit, names: list[str]) -> None:
    """Refuse an image that has another synset in its name than the one in which it lies.

    Only in a set with a devkit: in other sets names say nothing.

    Source: the readmes of the devkits of 2010 and 2012, images are <wnid>_<number>.JPEG.
    """
    wnid = unit.name.removeprefix("train/")
    foreign = sorted(one for one in names if WNID.match(one) and not one.startswith(f"{wnid}_"))
    if foreign and unit.num_expected is not None:
        wanted, advice = f"images named {wnid}_*", "download the tar again"
        raise DataError(mismatch(unit.name, wanted, examples(foreign), advice))


def _check_count(unit: Unit, found: int) -> None:
    """Refuse another number of images than the devkit promises; more of them in any case."""
    wanted = unit.num_expected
    if wanted is None or found == wanted or (unit.is_partial and found < wanted):
        return
    expected = f"{'at most ' if unit.is_partial else ''}{wanted:,} images"
    advice = "download the tar again" + ("" if found > wanted else ", or accept it with --partial")
    raise DataError(mismatch(unit.name, expected, f"{found:,}", advice))


def _append(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file to a tar, without times or owners, and return where its bytes begin."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    offset = tar.offset + len(_header(info))
    tar.addfile(info, io.BytesIO(content))
    return offset


def _header(info: tarfile.TarInfo) -> bytes:
    """Return what a tar made here holds before a file."""
    return info.tobuf(tarfile.DEFAULT_FORMAT, tarfile.ENCODING, "surrogateescape")


def between(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, int, bytes]]:
    """Yield what a unit's tar holds beside its images: nothing of it is left to chance.

    Args:
        verdicts: Those of the images in the tar, in order.

    Yields:
        What follows, place in the tar, and bytes.
    """
    end = 0
    for one in verdicts:
        info = tarfile.TarInfo(one.name)
        info.size = one.size
        yield f"header of {one.name}", end, bytes(-end % tarfile.BLOCKSIZE) + _header(info)
        end = one.offset + one.size
    yield "end of the tar", end, bytes(_tar_size(end) - end)
