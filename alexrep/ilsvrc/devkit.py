"""Reads the devkit: class table from meta.mat, labels from the ground truth."""

import functools
import gzip
import io
import os
import tarfile
import zlib
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexrep import files, guarded
from alexrep.errors import DataError, examples, mismatch
from alexrep.ilsvrc.classes import ClassTable, of_leaves
from alexrep.ilsvrc.editions import Edition
from alexrep.system import require_sound_disk

META = "data/meta.mat"
MOST = 1 << 29
"""Largest size of a devkit, packed or not, in bytes; that of 2012 has 5 MB unpacked."""


def read_classes(raw: Path, edition: Edition) -> ClassTable:
    """Read the leaves of meta.mat.

    Raises:
        DataError: If the devkit is missing, broken, or of another edition.
    """
    where = locate(raw, edition)
    synsets = read_synsets(where)
    fields = synsets.dtype.names or ()
    if edition.id_field not in fields:
        other = next((name for name in fields if name.endswith("_ID")), "no id")
        advice = f"put the devkit of {edition.name} there"
        raise DataError(mismatch(where, edition.id_field, other, advice))
    return of_leaves(_leaves(synsets, edition.id_field, where))


def _leaves(
    synsets: NDArray[np.void], id_field: str, where: Path
) -> list[tuple[str, int, str, int]]:
    """Return (wnid, id, words, number of training images) of each synset without children."""
    try:
        leaves = [
            (str(row["WNID"]), int(row[id_field]), str(row["words"]), int(row["num_train_images"]))
            for row in synsets
            if int(row["num_children"]) == 0
        ]
    except (KeyError, TypeError, ValueError) as error:
        wanted = "id, WNID, words, num_children and num_train_images of each synset"
        raise DataError(mismatch(where, wanted, error, "download the devkit again")) from None
    if not leaves:
        wanted = "synsets without children"
        raise DataError(mismatch(where, wanted, "none", "download the devkit again"))
    return leaves


def read_val_labels(raw: Path, edition: Edition, classes: ClassTable) -> list[int]:
    """Read the class index of each val image, in ascending order of file names.

    Raises:
        DataError: If the file is missing or a line is not the id of a class.
    """
    where = f"data/{edition.prefix}_validation_ground_truth.txt"
    lines = _member(locate(raw, edition), where)
    return _labels(lines, f"{edition.devkit}: {where}", classes)


def read_test_labels(raw: Path, edition: Edition, classes: ClassTable) -> list[int] | None:
    """Read the class index of each test image; None if the file is absent.

    Raises:
        DataError: If a line is not the id of a class.
    """
    path = raw / edition.test_ground_truth
    return read_labels(path, classes) if path.exists() else None


def read_labels(path: Path, classes: ClassTable) -> list[int]:
    """Read the class index of each image from a ground truth, a devkit id a line.

    Raises:
        DataError: If it is missing, or a line is not the id of a class.
    """
    try:
        return _labels(files.read_bytes(path), str(path), classes)
    except FileNotFoundError:
        advice = "name a file of ids"
        raise DataError(mismatch(path, "a ground truth", "no file", advice)) from None


def read_cost_matrix(devkit: Path) -> NDArray[np.integer]:
    """Read the cost of taking one class for another, by their ids less 1.

    Args:
        devkit: The devkit of ILSVRC-2010, its tar or the folder that it was unpacked to; no
            other has the matrix.

    Returns:
        Height of the lowest common ancestor of two classes, (K, K).

    Raises:
        DataError: If the devkit is missing or broken, or has no such matrix.
    """
    meta = _mat(_member(devkit, META), devkit)
    cost = np.asarray(meta.get("cost_matrix", ()))
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1] or cost.dtype.kind not in "iu":
        advice = "name the devkit of ILSVRC-2010"
        raise DataError(mismatch(devkit, "a cost_matrix in meta.mat", "none", advice))
    return cost


def _labels(lines: bytes, where: str, classes: ClassTable) -> list[int]:
    index_of_line = {b"%d" % number: index for number, index in classes.index_of_id.items()}
    labels = []
    for number, line in enumerate(lines.removeprefix(BOM_UTF8).split(), start=1):
        if line not in index_of_line:
            wanted = f"an id of the {len(classes)} classes in line {number}"
            raise DataError(
                mismatch(
                    where, wanted, repr(line[:40].decode("latin1")), "download the devkit again"
                )
            )
        labels.append(index_of_line[line])
    return labels


def locate(raw: Path, edition: Edition) -> Path:
    """Return the devkit's tar, or the folder that it was unpacked to; DataError if none is."""
    for name in edition.devkits:
        if (raw / name).exists():
            return raw / name
    found = examples(sorted(path.name for path in raw.glob("*devkit*"))) or "none"
    raise DataError(mismatch(raw, edition.devkit, found, f"put the devkit of {edition.name} there"))


def _member(devkit: Path, suffix: str) -> bytes:
    """Read the file whose path ends in `suffix`."""
    if devkit.is_dir():
        # Unpacked to a folder of its own name, the kit is one folder deeper.
        path = next(
            (p for p in (devkit / suffix, *devkit.glob(f"*/{suffix}")) if p.is_file()), None
        )
        if path is None:
            raise DataError(_no_devkit(devkit, suffix, sorted(os.listdir(devkit))))
        _require_small(path, path.stat().st_size)
        return files.read_bytes(path)
    names: list[str] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(devkit)), mode="r:") as tar:
            for member in tar:
                names.append(member.name)
                if member.isfile() and f"/{member.name}".endswith(f"/{suffix}"):
                    _require_small(f"{devkit}: {member.name}", member.size)
                    stream = tar.extractfile(member)
                    assert stream is not None, "a regular file has content"  # noqa: S101
                    return stream.read()
    except FileNotFoundError:
        raise DataError(_no_devkit(devkit, suffix, None)) from None
    except (tarfile.TarError, OSError, EOFError, zlib.error, RecursionError) as error:
        require_sound_disk(error, devkit)
        advice = "name a devkit's tar, or download it again"
        raise DataError(mismatch(devkit, "a tar.gz", error, advice)) from None
    raise DataError(_no_devkit(devkit, suffix, names))


def _unpacked(devkit: Path) -> bytes:
    """Read the tar of a devkit, unpacked as a whole, which checks gzip's checksum."""
    _require_small(devkit, devkit.stat().st_size)
    if not _is_gzip(devkit):
        return files.read_bytes(devkit)
    with gzip.open(devkit) as stream:
        unpacked = stream.read(MOST + 1)
    _require_small(devkit, len(unpacked))
    return unpacked


def _is_gzip(devkit: Path) -> bool:
    with devkit.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _require_small(where: object, size: int) -> None:
    """Refuse what is larger than any devkit before it is read to memory."""
    if size > MOST:
        wanted, advice = f"a devkit of at most {MOST:,} bytes", "download it again"
        raise DataError(mismatch(where, wanted, "more", advice))


def _no_devkit(devkit: Path, suffix: str, names: list[str] | None) -> str:
    """Say what lies where a devkit was to be; None: nothing."""
    found = "nothing there" if names is None else examples(names) or "nothing in it"
    advice = "name a devkit's tar, or the folder that it was unpacked to"
    return mismatch(devkit, f"a devkit, with {suffix}", found, advice)


def read_synsets(where: Path) -> NDArray[np.void]:
    """Read the struct array `synsets` of meta.mat, each field squeezed to a scalar or a vector.

    Raises:
        DataError: If the devkit is missing or broken.
    """
    table = _mat(_member(where, META), where).get("synsets")
    if table is None:
        found, advice = "none", "download the devkit again"
        raise DataError(mismatch(where, "synsets in meta.mat", found, advice))
    return np.asarray(table).reshape(-1)


def _mat(meta: bytes, where: Path) -> dict[str, Any]:
    """Read the variables of meta.mat."""
    variables, found = read_apart(meta)
    if found is not None:
        raise DataError(mismatch(where, "synsets in meta.mat", found, "download the devkit again"))
    return variables


@functools.lru_cache(maxsize=2)
def read_apart(meta: bytes) -> tuple[dict[str, Any], str | None]:
    """Read meta.mat in a process of its own; return the variables, or how scipy ended on it."""
    variables, found = guarded.call("alexrep.ilsvrc.devkit:load_mat", meta)
    return variables or {}, found


def load_mat(meta: bytes) -> dict[str, Any]:
    """Read the variables of meta.mat by scipy, which may raise anything on damaged bytes."""
    from scipy.io import loadmat  # noqa: PLC0415 (slow to import)

    stream: Any = io.BytesIO(meta)  # scipy's stubs take paths only
    variables: dict[str, Any] = loadmat(stream, squeeze_me=True)
    return variables
