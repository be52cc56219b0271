"""Makes the features of a split once, and finds them again.

They are written a block at a time under another name. A small file beside it says how many
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
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from alexrep import files, locks, manifest, system
from alexrep.evaluation import feature_file
from alexrep.evaluation.activations import Layer
from alexrep.evaluation.feature_file import FEATURE, FeatureFile, Features, open_features
from alexrep.evaluation.loaded import LoadedRun
from alexrep.evaluation.match_classes import Matched
from alexrep.feed import order
from alexrep.feed.batches import Reader
from alexrep.shards.hdf5 import FileWithHole

BATCH = 64
"""Images that go through the network at once; a block has a whole number of them."""


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
            "format": feature_file.FORMAT,
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
    features = open_features(task.path)
    if features.attributes == task.attributes and len(features) == task.num_images:
        return features
    features.close()
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
    return there or open_features(task.path)


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
    start = min(len(checks) * feature_file.BLOCK, len(indices))
    num_blocks = -(-len(indices) // feature_file.BLOCK)
    head = _laid_out(task, indices, [0] * num_blocks).head
    rest = (len(indices) - start) * width * FEATURE.itemsize
    files.require_space(task.folder, rest)
    with files.named(task.path), part.open("r+b" if checks else "wb") as stream:
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
    """Yield the features of each block of images, (at most feature_file.BLOCK, D)."""
    with Reader(task.images.split, threads) as reader:
        found: list[Features] = []
        for batch in reader.read(order.batches(indices, BATCH)):
            found.append(task.layer.of(batch.images).astype(FEATURE, copy=False))
            if len(found) * BATCH == feature_file.BLOCK:
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
        earlier = json.loads(files.read_text(record))
        if earlier["attributes"] == attributes and part.is_file():
            return [int(crc) for crc in earlier["crc32"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        system.require_sound_disk(error, record)
    return []


def _laid_out(task: FeatureTask, indices: NDArray[np.int64], checks: list[int]) -> FileWithHole:
    split, units = task.images.split, task.layer.num_units
    columns = indices, split.labels[indices], split.names[indices]
    return feature_file.laid_out(units, *columns, checks, task.attributes)
