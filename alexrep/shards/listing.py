"""Lists the images of a split in the order of its shards, compactly."""

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
    """N images in the order of the shards."""

    tars: list[Path]
    tar: NDArray[np.int32]
    """Index into `tars`, (N,)."""
    offset: NDArray[np.int64]
    """Offset of the bytes in the tar, (N,)."""
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
    """All images of a split, in about 46 bytes each, 22 of them for the name."""

    tars: list[Path]
    units: list[NDArray[Any]]
    """For each tar, one record (offset, size, label, crc32, name) per image, in the tar's order."""
    order: NDArray[np.int64] | None
    """Row of each image of the shards, counted over all tars; None for the tars' own order."""

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(map(len, self.units))

    def num_bytes(self) -> int:
        """Return the bytes of all images."""
        return sum(int(unit["size"].sum(dtype=np.int64)) for unit in self.units)

    def part(self, start: int, end: int) -> Images:
        """Return images `start` to `end` - 1 in the order of the shards."""
        ends = np.cumsum([len(unit) for unit in self.units])
        rows = np.arange(start, end) if self.order is None else self.order[start:end]
        tar = np.searchsorted(ends, rows, side="right").astype(np.int32)
        width = max((unit["name"].itemsize for unit in self.units if len(unit)), default=1)
        records = np.empty(len(rows), _record(width))
        # Grouped by tar once: comparing all rows with each of a thousand tars takes long.
        grouped = np.argsort(tar, kind="stable")
        numbers, firsts = np.unique(tar[grouped], return_index=True)
        for number, mine in zip(numbers, np.split(grouped, firsts[1:]), strict=True):
            unit = self.units[number]
            records[mine] = unit[rows[mine] - (ends[number] - len(unit))]
        # The caller sums sizes, which overflows 32 bits.
        size = records["size"].astype(np.int64)
        label, name, crc32 = records["label"], records["name"], records["crc32"]
        return Images(self.tars, tar, records["offset"], size, label, name, crc32)


def list_images(prepared: Prepared, split: str, seed: int) -> SplitImages:
    """List a split's images: train shuffled by the seed, val and test in the tars' order.

    Where units hold images of any classes, those of train are sorted by class and name before,
    the others by name: as the tars of ILSVRC have them, so that the shards are the same.

    Verdicts are read unit by unit; only their numbers and names stay in memory.
    """
    units = prepared.units(split)
    columns = [_columns(prepared, unit) for unit in units]
    num = sum(map(len, columns))
    order = keyed.permutation(num, seed) if split == "train" else None
    if prepared.is_mixed:
        ranked = _ranked(columns, split == "train")
        order = ranked if order is None else ranked[order]
    return SplitImages([prepared.tar(unit) for unit in units], columns, order)


def _ranked(columns: list[NDArray[Any]], by_class: bool) -> NDArray[np.int64]:
    """Return the rows of all tars in the order of their names, or of classes and names, (N,)."""
    width = max((unit["name"].itemsize for unit in columns), default=1)
    names = [unit["name"].astype(f"S{width}") for unit in columns]
    keys = [np.concatenate([*names, np.empty(0, "S1")])]
    if by_class:
        keys.append(np.concatenate([*(unit["label"] for unit in columns), np.empty(0, "i4")]))
    return np.lexsort(keys)


def _columns(prepared: Prepared, unit: str) -> NDArray[Any]:
    """Return the records of a unit's images, (N,)."""
    verdicts = prepared.verdicts(unit)
    names = [os.fsencode(image.name) for image in verdicts]
    # Four bytes hold an offset in all but the largest tars.
    offset = "u4" if all(image.offset < 1 << 32 for image in verdicts) else "i8"
    record = _record(max(map(len, names), default=1), offset)
    rows = [
        (image.offset, image.size, image.label, image.crc32, name)
        for image, name in zip(verdicts, names, strict=True)
    ]
    return np.array(rows, record)


def _record(width: int, offset: str = "i8") -> np.dtype[np.void]:
    """Return the dtype of an image's record with a name of `width` bytes."""
    numbers = [("offset", offset), ("size", "u4"), ("label", "i4"), ("crc32", "u4")]
    return np.dtype([*numbers, ("name", f"S{width}")])
