"""The images of a split in the order of its shards, in little memory."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed
from alexrep.prepare.prepared import Prepared


@dataclass(frozen=True)
class Images:
    """Some images in order, N."""

    tars: list[Path]
    tar: NDArray[np.int32]
    """Index into `tars`, (N,)."""
    offset: NDArray[np.int64]
    """Place of the bytes in the tar, (N,)."""
    size: NDArray[np.int64]
    """Number of bytes, (N,)."""
    label: NDArray[np.int32]
    """Class index, -1 unknown, (N,)."""
    name: NDArray[np.bytes_]
    """File name as distributed, as wide as the longest of the split, (N,)."""
    crc32: NDArray[np.uint32]
    """Crc32 of the bytes, 0 if none is recorded, (N,)."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.tar)


@dataclass(frozen=True)
class SplitImages:
    """All images of a split: some 46 bytes an image, of which 22 are its name."""

    tars: list[Path]
    units: list[NDArray[Any]]
    """One record (offset, size, label, crc32, name) an image, for each tar, in its order."""
    order: NDArray[np.int64] | None
    """Place, counted over the tars, of each image of the shards; none for that very order."""

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(map(len, self.units))

    def num_bytes(self) -> int:
        """Return the bytes of all images."""
        return sum(int(unit["size"].sum(dtype=np.int64)) for unit in self.units)

    def part(self, start: int, end: int) -> Images:
        """Return the images `start` to `end` - 1 in the order of the shards."""
        ends = np.cumsum([len(unit) for unit in self.units])
        indices = np.arange(start, end) if self.order is None else self.order[start:end]
        tar = np.searchsorted(ends, indices, side="right").astype(np.int32)
        width = max((unit["name"].itemsize for unit in self.units if len(unit)), default=1)
        found = np.empty(len(indices), _record(width))
        # Grouped by tar once: a look at all of them for each of a thousand tars takes long.
        grouped = np.argsort(tar, kind="stable")
        numbers, firsts = np.unique(tar[grouped], return_index=True)
        for number, mine in zip(numbers, np.split(grouped, firsts[1:]), strict=True):
            unit = self.units[number]
            found[mine] = unit[indices[mine] - (ends[number] - len(unit))]
        # Sizes are summed up by the reader of this: 32 bits would not do.
        size = found["size"].astype(np.int64)
        label, name, crc32 = found["label"], found["name"], found["crc32"]
        return Images(self.tars, tar, found["offset"], size, label, name, crc32)


def list_images(prepared: Prepared, split: str, seed: int) -> SplitImages:
    """List a split's images: train shuffled by the seed, the others in order.

    Verdicts are read unit by unit and only their numbers and names are kept.
    """
    units = prepared.units(split)
    columns = [_columns(prepared, unit) for unit in units]
    num = sum(map(len, columns))
    order = keyed.permutation(num, seed) if split == "train" else None
    return SplitImages([prepared.tar(unit) for unit in units], columns, order)


def _columns(prepared: Prepared, unit: str) -> NDArray[Any]:
    """Return the records of a unit's images, (N,)."""
    verdicts = prepared.verdicts(unit)
    names = [os.fsencode(one.name) for one in verdicts]
    rows = zip(verdicts, names, strict=True)
    # Four bytes hold a place in any tar of usual size.
    offset = "u4" if all(one.offset < 1 << 32 for one in verdicts) else "i8"
    record = _record(max(map(len, names), default=1), offset)
    listed = [(one.offset, one.size, one.label, one.crc32, name) for one, name in rows]
    return np.array(listed, record)


def _record(width: int, offset: str = "i8") -> np.dtype[np.void]:
    """Return the type of an image's record, whose name has `width` bytes."""
    numbers = [("offset", offset), ("size", "u4"), ("label", "i4"), ("crc32", "u4")]
    return np.dtype([*numbers, ("name", f"S{width}")])
