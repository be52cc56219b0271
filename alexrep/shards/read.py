"""Reads shards: labels and names into memory, image bytes from the file on demand."""

import contextlib
import os
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from alexrep import manifest, system
from alexrep.errors import DataError, ManifestError, mismatch
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.manifest import Manifest
from alexrep.shards import layout, outline
from alexrep.shards.labelled import LabelledImages


@dataclass(frozen=True)
class Shard:
    """Index of one shard, N images."""

    path: Path
    split: str
    side: int
    encoding: str
    """"jpeg", or "raw" for RGB pixels."""
    classes: str
    """Digest of the class table."""
    start: int
    """Offset of the first image's bytes in the file."""
    offsets: NDArray[np.int64]
    """Offset of each image's bytes from `start`, and of their end, (N + 1,)."""
    labels: NDArray[np.int32]
    """Class index, -1 unknown, (N,)."""
    names: NDArray[np.bytes_]
    """File name as distributed, (N,)."""
    crc32: NDArray[np.uint32]
    """Of each image's bytes, (N,)."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)


def open_shard(path: Path) -> Shard:
    """Read the index of a shard.

    Raises:
        DataError: If the file is missing, no shard, of another format, or has wrong offsets.
    """
    try:
        # A finished shard never changes; and some network file systems know no flock.
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs["format"] != layout.FORMAT:
                found = f"format {file.attrs['format']}"
                raise DataError(mismatch(path, f"format {layout.FORMAT}", found, layout.REPACK))
            encoding = str(file.attrs.get("encoding", "jpeg"))
            start, offsets, total = _images(file, encoding, int(file.attrs["side"]))
            shard = Shard(
                path=path,
                split=str(file.attrs["split"]),
                side=int(file.attrs["side"]),
                encoding=encoding,
                classes=str(file.attrs["classes"]),
                start=start,
                offsets=offsets,
                labels=_column(file, "labels", "i"),
                names=_plain(_column(file, "names", "S")),
                crc32=_column(file, "crc32", "u"),
            )
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        system.require_sound_disk(error, path)
        if not path.exists():
            raise DataError(mismatch(path, "a shard", "no file", "pack again")) from None
        found = " ".join(str(error).split())
        raise DataError(mismatch(path, "a shard", found, layout.REPACK)) from None
    _check_index(shard, total)
    return shard


def try_open(*paths: str) -> None:
    """Read the index of shards; in a process of its own, see `outline.require_openable`."""
    for path in paths:
        with contextlib.suppress(DataError):
            open_shard(Path(path))


def _images(file: h5py.File, encoding: str, side: int) -> tuple[int, NDArray[np.int64], int]:
    """Return the offset of the image bytes in the file, each image's offset, and the total."""
    images = _dataset(file, layout.DATASETS[encoding])
    if images.dtype != np.uint8:
        raise ValueError("images of another kind")
    start = images.id.get_offset()
    if start is None and images.size:
        raise ValueError("images that are not in one piece")
    if images.shape[1:] != {"jpeg": (), "raw": (side, side, 3)}[encoding]:
        raise ValueError("images of another shape")
    if encoding == "raw":
        size = side * side * 3
        return start or 0, np.arange(len(images) + 1, dtype=np.int64) * size, images.size
    return start or 0, _column(file, "offsets", "i"), images.size


def _column(file: h5py.File, name: str, kind: str) -> NDArray[Any]:
    """Return one column of the index; `kind` is the dtype's kind that it must have."""
    column = _dataset(file, name)
    if column.ndim != 1 or column.dtype.kind != kind:
        raise ValueError(f"{name} of another kind")
    values: NDArray[Any] = column[:]
    return values


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that lies in this file in one piece, as pack writes it.

    A link, a virtual dataset or an external file would bring in the bytes of others, of which no
    digest is known; a compressed column may be of any size.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} as a link")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name} of another kind")
    found: h5py.Dataset = dataset
    properties = dataset.id.get_create_plist()
    is_plain = properties.get_layout() == h5py.h5d.CONTIGUOUS
    if not is_plain or properties.get_external_count():
        raise ValueError(f"{name} that is not in one piece")
    return found


def _plain(names: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Drop the metadata that h5py adds to the dtype and numpy cannot save."""
    return names.view(f"S{names.dtype.itemsize}")


def _check_index(shard: Shard, total: int) -> None:
    """Refuse wrong offsets: all later reads trust them."""
    offsets, num = shard.offsets, len(shard)
    lengths_agree = len(offsets) == num + 1 and len(shard.names) == len(shard.crc32) == num
    rising = lengths_agree and offsets[0] == 0 and bool((np.diff(offsets) > 0).all())
    if not rising or offsets[-1] != total:
        wanted = "offsets that rise to the end"
        raise DataError(mismatch(shard.path, wanted, "others", layout.REPACK))


def wrong_labels(shard: Shard, num_classes: int) -> NDArray[np.int64]:
    """Return the rows of a shard whose labels are out of range, in ascending order.

    -1, unknown, is allowed in the test split only.
    """
    least = -1 if shard.split == "test" else 0
    return np.flatnonzero((shard.labels < least) | (shard.labels >= num_classes))


def label_fault(shard: Shard, row: int, num_classes: int) -> str:
    """Return the message about the wrong label of image `row`."""
    return _fault(shard, row, f"a label from 0 to {num_classes - 1}", shard.labels[row])


def _fault(shard: Shard, row: int, wanted: str, found: object) -> str:
    where = f"{shard.path}: image {row}, {os.fsdecode(shard.names[row])}"
    return mismatch(where, wanted, found, f"remove {shard.path} and pack again")


def _check_labels(shard: Shard, num_classes: int) -> None:
    """Refuse labels out of range: the loss would index the logits with them."""
    wrong = wrong_labels(shard, num_classes)
    if len(wrong):
        raise DataError(label_fault(shard, wrong.item(0), num_classes))


class Split(LabelledImages):
    """All images of a split, by their index in the order of the shards."""

    def __init__(
        self,
        shards: list[Shard],
        num_quarantined: int,
        table: ClassTable,
        geometry: str = layout.GEOMETRY,
    ) -> None:
        """Join the shards of a split.

        Args:
            shards: The shards, in order.
            num_quarantined: Number of images of the split that could not be prepared.
            table: The class table that the labels refer to.
            geometry: How the images were made square, one of pixels.rescale.GEOMETRIES.
        """
        first, side = shards[0], shards[0].side
        names = np.concatenate([shard.names for shard in shards])
        labels = np.concatenate([shard.labels for shard in shards]).astype(np.int64)
        shape = side, side, 3
        super().__init__(first.split, first.path, names, labels, table, shape, num_quarantined)
        self.shards: list[Shard] = shards
        self.geometry, self.side, self.encoding = geometry, side, first.encoding
        self._ends = list(accumulate(len(shard) for shard in shards))
        self._descriptors = [os.open(shard.path, os.O_RDONLY) for shard in shards]

    def read(self, index: int) -> bytes:
        """Read the bytes of image `index`, a JPEG or RGB pixels, and check their crc32.

        Raises:
            IndexError: If there is no such image.
            DataError: If the file is shorter than its index says, or the bytes have changed.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index: expected 0 to {len(self) - 1}, found {index}")
        number, row = self._locate(index)
        shard = self.shards[number]
        # item() gives Python ints: numpy scalars cost more here than the read itself.
        start, end = shard.offsets.item(row), shard.offsets.item(row + 1)
        try:
            image_bytes = os.pread(self._descriptors[number], end - start, shard.start + start)
        except OSError as error:
            error.filename = str(shard.path)
            raise
        if len(image_bytes) != end - start or zlib.crc32(image_bytes) != shard.crc32.item(row):
            found = f"{len(image_bytes)} bytes of another crc32"
            raise DataError(self.fault(index, f"{end - start} bytes as packed", found))
        return image_bytes

    def decode(self, index: int, image: NDArray[np.uint8]) -> None:
        """Read image `index` into `image`, RGB, (S, S, 3).

        Raises:
            DataError: If it cannot be read, or is no image of side S.
        """
        image_bytes = self.read(index)
        if self.encoding == "raw":
            image[...] = np.frombuffer(image_bytes, np.uint8).reshape(image.shape)
            return
        try:
            found: object = simplejpeg.decode_jpeg(image_bytes, "RGB", buffer=image).shape
        except ValueError as error:
            found = error
        # A smaller image fits into the buffer too, and would leave the rest as it was.
        if found != image.shape:
            raise DataError(self.fault(index, f"a JPEG of {self.side} pixels each way", found))

    def fault(self, index: int, wanted: str, found: object) -> str:
        """Return the message about a fault of image `index`, with its shard and name."""
        number, row = self._locate(index)
        return _fault(self.shards[number], row, wanted, found)

    def _locate(self, index: int) -> tuple[int, int]:
        """Return the shard's number and the row in it of image `index`."""
        number = bisect_right(self._ends, index)
        return number, index - (self._ends[number - 1] if number else 0)

    def close(self) -> None:
        """Close the files."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _require_outlines(paths: list[Path], record: Manifest) -> None:
    """Compare outlines with pack's manifest; shards of before, which it has none of, are tried."""
    unknown = []
    for path in paths:
        recorded = outline.of_manifest(record, path.name)
        if recorded is None:
            unknown.append(path)
        else:
            outline.require(path, recorded)
    outline.require_openable(*unknown)


def open_split(data: Path, split: str) -> Split:
    """Open a split of a packed data folder.

    Raises:
        ManifestError: If pack has not finished, or there are no shards of the split.
        DataError: If a shard is missing, broken, or of other data, or a label is out of range.
    """
    folder = data / "shards"
    record = manifest.read(folder / manifest.NAME, "pack")
    names = [name for name in record.outputs if name.startswith(f"{split}-")]
    num_quarantined = record.counts.get(f"{split} quarantined")
    if names and num_quarantined is None:
        wanted = f"the number of {split} images in quarantine"
        raise ManifestError(mismatch(folder / manifest.NAME, wanted, "none", layout.REPACK))
    if not names or num_quarantined is None:
        packed = ", ".join(sorted({name.split("-")[0] for name in record.outputs if "-" in name}))
        raise ManifestError(mismatch(folder, f"shards of {split}", packed, "choose one of these"))
    paths = [folder / name for name in sorted(names)]
    system.allow_open_files()  # one a shard
    _require_outlines(paths, record)
    shards = [open_shard(path) for path in paths]
    table = classes.read(folder / layout.CLASSES)
    for shard in shards:
        if shard.classes != table.digest() or shard.split != split:
            found = f"{shard.split} of another class table"
            advice = f"remove it and {layout.CLASSES}, and pack again"
            raise DataError(mismatch(shard.path, f"a shard of {split}", found, advice))
        if (shard.side, shard.encoding) != (shards[0].side, shards[0].encoding):
            wanted, found = (f"{s.encoding}, side {s.side}" for s in (shards[0], shard))
            raise DataError(mismatch(shard.path, wanted, found, layout.REPACK))
        _check_labels(shard, len(table))
    geometry = str(record.details.get("geometry", layout.GEOMETRY))
    return Split(shards, num_quarantined, table, geometry)
