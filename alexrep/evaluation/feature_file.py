"""A layer's activations for every image of a split, as an HDF5 file.

Datasets, contiguous and unfiltered, for N images in the order of the shards:
    features  float16 (N, D), the activations
    index     int64 (N), index of the image in the order of the shards
    labels    int64 (N), class index in the order of the run's logits; -1 if unknown
    names     fixed-length bytes (N), file name as distributed
    crc32     uint32, of the features of each BLOCK of images, the last one smaller
Attributes: format, split, layer, checkpoint, weights (their digest), shards (the digest of
their manifest).
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from alexrep import system
from alexrep.errors import DataError, mismatch
from alexrep.shards.hdf5 import FileWithHole, lay_out

FORMAT = 1
BLOCK = 512
"""Images whose features are written, flushed to the disk, and read at once."""
FEATURE = np.dtype("<f2")
REMAKE = "remove it to have it made again"

Features = NDArray[np.float16]


@dataclass(frozen=True)
class FeatureFile:
    """The features of a split as a file."""

    path: Path
    """The file."""
    file: h5py.File
    """The same, open for reading."""

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __len__(self) -> int:
        """Return N, the number of images."""
        return int(self._features.shape[0])

    @property
    def num_units(self) -> int:
        """D, the numbers of each image."""
        return int(self._features.shape[1])

    @property
    def attributes(self) -> dict[str, Any]:
        """What decided the features, as plain data."""
        named = self.file.attrs.items()
        return {name: value.item() if hasattr(value, "item") else value for name, value in named}

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Index of each image in the order of the shards, (N,)."""
        return cast("NDArray[np.int64]", self.file["index"][:])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class index of each image, (N,); -1 if unknown."""
        return cast("NDArray[np.int64]", self.file["labels"][:])

    @cached_property
    def names(self) -> NDArray[np.bytes_]:
        """Name of each image, (N,)."""
        return cast("NDArray[np.bytes_]", self.file["names"][:])

    @cached_property
    def _features(self) -> h5py.Dataset:
        return cast(h5py.Dataset, self.file["features"])

    def blocks(self) -> Iterator[tuple[int, Features]]:
        """Yield the first image of each block, and its features, (at most BLOCK, D).

        The array is used again for the next block.

        Raises:
            DataError: If the bytes are not those that were written.
        """
        checks, buffer = self.file["crc32"][:], np.empty((BLOCK, self.num_units), FEATURE)
        for number, start in enumerate(range(0, len(self), BLOCK)):
            block = buffer[: min(BLOCK, len(self) - start)]
            self._features.read_direct(block, np.s_[start : start + len(block)])
            if zlib.crc32(block.data) != checks[number]:
                found = f"others from image {start} on"
                raise DataError(mismatch(self.path, "features as written", found, REMAKE))
            yield start, block


def open_features(path: Path) -> FeatureFile:
    """Open a finished file.

    Raises:
        DataError: If it is damaged.
    """
    try:
        file = h5py.File(path, "r", locking=False)
        shape, dtype = file["features"].shape, file["features"].dtype
        lengths = [len(file[name]) for name in ("index", "labels", "names")]
        lengths += [min(shape[0], BLOCK * len(file["crc32"]))]
    except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        system.require_sound_disk(error, path)
        found = " ".join(str(error).split())
        raise DataError(mismatch(path, "features of a split", found, REMAKE)) from None
    if len(shape) != 2 or dtype != FEATURE or set(lengths) != {shape[0]}:
        file.close()
        raise DataError(mismatch(path, "features of a split", "other datasets", REMAKE))
    return FeatureFile(path, file)


def laid_out(
    num_units: int,
    indices: NDArray[np.int64],
    labels: NDArray[np.int64],
    names: NDArray[np.bytes_],
    checks: Sequence[int],
    attributes: Mapping[str, str | int],
) -> FileWithHole:
    """Lay out a file around the features; its head depends on their number only.

    Args:
        num_units: D.
        indices: Index of each image in the order of the shards, (N,).
        labels: Class index of each, (N,); -1 if unknown.
        names: File name of each, (N,).
        checks: crc32 of each block, or any numbers while they are not known.
        attributes: What decides the features.
    """
    columns: dict[str, NDArray[Any]] = {
        "index": indices.astype("<i8"),
        "labels": labels.astype("<i8"),
        "names": names,
        "crc32": np.array(checks, "<u4"),
    }
    return lay_out("features", (len(indices), num_units), columns, attributes, FEATURE)
