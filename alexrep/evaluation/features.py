"""A layer's activations for every image of a split, kept in an HDF5 file of the run.

The file holds, contiguous and unfiltered, for N images in the order of the shards:
    features  float16 (N, D), the activations
    index     int64 (N), index of the image in the order of the shards
    labels    int64 (N), class index in the order of the run's logits; -1 if unknown
    names     fixed-length bytes (N), file name as distributed
    crc32     uint32, of the features of each BLOCK of images, the last one smaller
Attributes: format, split, layer, checkpoint, weights (their digest), shards (the digest of
their manifest).

It is written a block at a time under another name. A small file beside it says how many
blocks are whole, so that a killed process goes on after them, and the file ends with the same
bytes: batches begin at the same images.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from alexrep import files, locks, manifest
from alexrep.errors import DataError, mismatch
from alexrep.evaluation.activations import Layer
from alexrep.evaluation.loaded import LoadedRun
from alexrep.evaluation.match_classes import Matched
from alexrep.feed import order
from alexrep.feed.batches import Reader
from alexrep.shards.hdf5 import FileWithHole, lay_out

FORMAT = 1
BATCH = 64
"""Images that go through the network at once."""
BLOCK = 512
"""Images whose features are written, and flushed to the disk, at once."""
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


@dataclass(frozen=True)
class FeatureTask:
    """Which features are wanted, and where they are kept."""

    run: LoadedRun
    layer: Layer
    images: Matched
    """The images of the run's classes."""
    shards: Path
    """The folder of its shards."""
    folder: Path
    """Where the file is kept; RUN/features."""

    @cached_property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self._stem}-{self.run.trained.weights[:12]}.h5"

    @property
    def split(self) -> str:
        """Name of the split."""
        return self.images.split.shards[0].split

    @property
    def num_images(self) -> int:
        """N, the number of images."""
        return len(self.images.indices)

    @property
    def _stem(self) -> str:
        return f"{self.split}-{self.layer.name}-{self.run.checkpoint}"

    def stale(self) -> list[Path]:
        """Return the files of the same split, layer and checkpoint, but of other weights."""
        paths = sorted(self.folder.glob(f"{self._stem}-*"))
        return [path for path in paths if not path.name.startswith(self.path.stem)]

    @cached_property
    def attributes(self) -> dict[str, str | int]:
        """What decides the features."""
        return {
            "format": FORMAT,
            "split": self.split,
            "layer": self.layer.name,
            "checkpoint": self.run.checkpoint,
            "weights": self.run.trained.weights,
            "shards": manifest.digest(self.shards / manifest.NAME),
        }


def find(task: FeatureTask, say: Callable[[str], None]) -> FeatureFile | None:
    """Open the features that are there; None if they must be made.

    Args:
        task: Which are wanted.
        say: Told why those that are there do not do.

    Raises:
        DataError: If the file is damaged.
    """
    if not task.path.exists():
        for path in task.stale():
            say(f"{path}: of other weights; made anew")
        return None
    file = _open(task.path)
    if _attributes(file) == task.attributes and len(file["index"]) == task.num_images:
        return FeatureFile(task.path, file)
    file.close()
    say(f"{task.path}: of other shards; made anew")
    return None


def make(
    task: FeatureTask,
    threads: int,
    done: Callable[[int], None],
    before: Callable[[int], None] = lambda _: None,
) -> FeatureFile:
    """Compute the features, or go on with it, and open them.

    Args:
        task: Which are wanted.
        threads: Decoding threads.
        done: Told the number of images of each batch.
        before: Told the number of images that an earlier start has done.

    Raises:
        ManifestError: If another process makes features in the same folder.
        DataError: If an image cannot be read.
        AlexrepError: If an activation is not finite in float16.
    """
    with locks.held(task.folder) as check:
        there = find(task, say=lambda _: None)  # Another process may have just made them.
        if there is None:
            with files.named(task.path):
                _write(task, threads, done, before, check)
        for path in task.stale():
            path.unlink()
    return there or FeatureFile(task.path, _open(task.path))


def _write(
    task: FeatureTask,
    threads: int,
    done: Callable[[int], None],
    before: Callable[[int], None],
    check: Callable[[], None],
) -> None:
    """Write the file under another name, from the last whole block on, and rename it."""
    indices, width = task.images.indices, task.layer.num_units
    part, record = task.path.with_suffix(".unfinished"), task.path.with_suffix(".blocks.json")
    checks = _whole_blocks(part, record, task.attributes)
    start = min(len(checks) * BLOCK, len(indices))
    num_blocks = -(-len(indices) // BLOCK)
    head = _laid_out(task, indices, [0] * num_blocks).head
    rest = (len(indices) - start) * width * FEATURE.itemsize
    files.require_space(task.folder, rest)
    with part.open("r+b" if checks else "wb") as stream:
        stream.truncate(len(head) + start * width * FEATURE.itemsize)
        stream.write(head)
        stream.seek(0, os.SEEK_END)
        before(start)
        for block in _blocks(task, indices[start:], threads, done):
            _flush(stream, block.data)
            checks.append(zlib.crc32(block.data))
            files.write_json(record, {"attributes": task.attributes, "crc32": checks}, check)
        laid_out = _laid_out(task, indices, checks)
        _flush(stream, laid_out.tail)
    check()
    os.replace(part, task.path)
    record.unlink(missing_ok=True)


def _blocks(
    task: FeatureTask, indices: NDArray[np.int64], threads: int, done: Callable[[int], None]
) -> Iterator[Features]:
    """Yield the features of each block of images, (at most BLOCK, D)."""
    with Reader(task.images.split, threads) as reader:
        found: list[Features] = []
        for batch in reader.read(order.batches(indices, BATCH)):
            found.append(task.layer.of(batch.images).astype(FEATURE, copy=False))
            if len(found) * BATCH == BLOCK:
                yield np.concatenate(found)
                found = []
            done(len(batch.indices))
        if found:
            yield np.concatenate(found)


def _flush(stream: BinaryIO, content: memoryview | bytearray) -> None:
    stream.write(content)
    stream.flush()
    os.fsync(stream.fileno())


def _whole_blocks(part: Path, record: Path, attributes: Mapping[str, object]) -> list[int]:
    """Return the crc32 of each block that an earlier start has written; none if of others."""
    try:
        earlier = json.loads(record.read_text(encoding="utf-8"))
        if earlier["attributes"] == attributes and part.is_file():
            return [int(crc) for crc in earlier["crc32"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return []


def _laid_out(task: FeatureTask, indices: NDArray[np.int64], checks: list[int]) -> FileWithHole:
    """Lay out the file; its head depends on the number of images and units only."""
    split = task.images.split
    columns: dict[str, NDArray[Any]] = {
        "index": indices.astype("<i8"),
        "labels": split.labels[indices].astype("<i8"),
        "names": split.names[indices],
        "crc32": np.array(checks, "<u4"),
    }
    shape = (len(indices), task.layer.num_units)
    return lay_out("features", shape, columns, task.attributes, FEATURE)


def _open(path: Path) -> h5py.File:
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
        found = " ".join(str(error).split())
        raise DataError(mismatch(path, "features of a split", found, REMAKE)) from None
    if len(shape) != 2 or dtype != FEATURE or set(lengths) != {shape[0]}:
        file.close()
        raise DataError(mismatch(path, "features of a split", "other datasets", REMAKE))
    return file


def _attributes(file: h5py.File) -> dict[str, Any]:
    named = file.attrs.items()
    return {name: value.item() if hasattr(value, "item") else value for name, value in named}
