"""The devkit: class table from meta.mat, labels from the ground truth."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.classes import ClassTable, of_leaves
from alexrep.ilsvrc.editions import EDITIONS, Edition

META = "data/meta.mat"


def read_classes(raw: Path, edition: Edition) -> ClassTable:
    """Read the leaves of meta.mat.

    Raises:
        DataError: If the devkit is missing, broken, or of another edition.
    """
    where = _locate(raw, edition)
    synsets = _synsets(_member(where, META), where)
    fields = synsets.dtype.names or ()
    if edition.id_field not in fields:
        found = next((name for name in fields if name.endswith("_ID")), "no id")
        advice = f"put the devkit of {edition.name} there"
        raise DataError(mismatch(where, edition.id_field, found, advice))
    return of_leaves(_leaves(synsets, edition.id_field, where))


def _leaves(
    synsets: NDArray[np.void], id_field: str, where: Path
) -> list[tuple[str, int, str, int]]:
    try:
        found = [
            (str(row["WNID"]), int(row[id_field]), str(row["words"]), int(row["num_train_images"]))
            for row in synsets
            if int(row["num_children"]) == 0
        ]
    except (KeyError, TypeError, ValueError) as error:
        wanted = "id, WNID, words, num_children and num_train_images of each synset"
        raise DataError(mismatch(where, wanted, error, "get the devkit anew")) from None
    if not found:
        wanted = "synsets without children"
        raise DataError(mismatch(where, wanted, "none", "get the devkit anew"))
    return found


def read_val_labels(raw: Path, edition: Edition, classes: ClassTable) -> list[int]:
    """Read the class index of each val image, in ascending order of file names.

    Raises:
        DataError: If the file is missing or a line is not the id of a class.
    """
    where = f"data/{edition.prefix}_validation_ground_truth.txt"
    content = _member(_locate(raw, edition), where)
    return _labels(content, f"{edition.devkit}: {where}", classes)


def read_test_labels(raw: Path, edition: Edition, classes: ClassTable) -> list[int] | None:
    """Read the class index of each test image, or None where the labels are not public."""
    path = raw / edition.test_ground_truth
    return _labels(path.read_bytes(), str(path), classes) if path.exists() else None


def _labels(content: bytes, where: str, classes: ClassTable) -> list[int]:
    index_of_line = {b"%d" % number: index for number, index in classes.index_of_id.items()}
    labels = []
    for number, line in enumerate(content.split(), start=1):
        if line not in index_of_line:
            wanted = f"an id of the {len(classes)} classes in line {number}"
            raise DataError(
                mismatch(where, wanted, repr(line[:40].decode("latin1")), "get the devkit anew")
            )
        labels.append(index_of_line[line])
    return labels


def _locate(raw: Path, edition: Edition) -> Path:
    """Return the devkit's tar, or the folder it was unpacked to."""
    stem = edition.devkit.removesuffix(".tar.gz")
    unpacked = (raw / stem, raw / stem.removeprefix(f"{edition.prefix}_"))
    for candidate in (raw / edition.devkit, *unpacked):
        if candidate.exists():
            return candidate
    others = [other.devkit for other in EDITIONS.values() if (raw / other.devkit).exists()]
    found = ", ".join(others) or "none"
    raise DataError(mismatch(raw, edition.devkit, found, f"put the devkit of {edition.name} there"))


def _member(devkit: Path, suffix: str) -> bytes:
    """Read the one file whose path ends in `suffix`."""
    if devkit.is_dir():
        path = devkit / suffix
        if not path.is_file():
            raise DataError(mismatch(devkit, suffix, "no such file", "get the devkit anew"))
        return path.read_bytes()
    try:
        packed = devkit.read_bytes()
        # Unpacked to its end, where gzip's checksum is: scipy crashes on a damaged meta.mat.
        content = gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                if member.isfile() and f"/{member.name}".endswith(f"/{suffix}"):
                    stream = tar.extractfile(member)
                    assert stream is not None, "a regular file has content"  # noqa: S101
                    return stream.read()
    except PermissionError:
        raise  # the devkit may be whole
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(mismatch(devkit, "a tar.gz", error, "get the devkit anew")) from None
    raise DataError(mismatch(devkit, suffix, "no such file", "get the devkit anew"))


def _synsets(content: bytes, where: Path) -> NDArray[np.void]:
    """Read the struct array `synsets`, each field squeezed to a scalar or a vector."""
    from scipy.io import loadmat  # noqa: PLC0415 (slow to import)

    stream: Any = io.BytesIO(content)  # the stubs know paths only
    try:
        table: NDArray[np.void] = loadmat(stream, squeeze_me=True)["synsets"]
    except Exception as error:  # scipy raises whatever the bytes make it raise
        found = " ".join(repr(error).split())
        message = mismatch(where, "synsets in meta.mat", found, "get the devkit anew")
        raise DataError(message) from None
    return np.asarray(table).reshape(-1)
