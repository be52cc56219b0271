"""The devkit: class table from meta.mat, labels from the ground truth."""

import io
import tarfile
from pathlib import Path
from typing import Any

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.classes import ClassTable, of_leaves
from alexrep.ilsvrc.editions import EDITIONS, Edition

META = "data/meta.mat"


def read_classes(raw: Path, edition: Edition) -> ClassTable:
    """Read the leaves of meta.mat.

    Raises:
        DataError: If the devkit is missing, broken, or of another edition.
    """
    content = _member(_locate(raw, edition), META)
    synsets = _synsets(content, raw / edition.devkit)
    fields = synsets.dtype.names or ()
    if edition.id_field not in fields:
        found = next((name for name in fields if name.endswith("_ID")), "no id")
        advice = f"put the devkit of {edition.name} there"
        raise DataError(mismatch(raw / edition.devkit, edition.id_field, found, advice))
    return of_leaves(
        [
            (str(row["WNID"]), int(row[edition.id_field]), str(row["words"]), int(row["num_train_images"]))
            for row in synsets
            if int(row["num_children"]) == 0
        ]
    )


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
    index_of_id = classes.index_of_id
    labels = []
    for number, line in enumerate(content.split(), start=1):
        if not line.isdigit() or int(line) not in index_of_id:
            wanted = f"an id of the {len(classes)} classes in line {number}"
            raise DataError(mismatch(where, wanted, repr(line[:40].decode("latin1")), "get the devkit anew"))
        labels.append(index_of_id[int(line)])
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
        with tarfile.open(devkit) as tar:
            for member in tar:
                if member.isfile() and f"/{member.name}".endswith(f"/{suffix}"):
                    stream = tar.extractfile(member)
                    assert stream is not None, "a regular file has content"  # noqa: S101
                    return stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(mismatch(devkit, "a tar.gz", error, "get the devkit anew")) from None
    raise DataError(mismatch(devkit, suffix, "no such file", "get the devkit anew"))


def _synsets(content: bytes, where: Path) -> Any:
    """Read the struct array `synsets`, each field squeezed to a scalar or a vector."""
    from scipy.io import loadmat

    try:
        table = loadmat(io.BytesIO(content), squeeze_me=True, variable_names=["synsets"])["synsets"]
    except (ValueError, KeyError, TypeError, OSError, NotImplementedError) as error:
        message = mismatch(where, "synsets in meta.mat", repr(error), "get the devkit anew")
        raise DataError(message) from None
    return table.reshape(-1)
