"""Opens parquet files of images, and reads the bytes of their rows."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from alexrep import files, system
from alexrep.errors import AlexrepError, DataError, examples, mismatch

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

_BATCH = 64
"""Images that are read from a row group at a time."""
_POINTER = b"version https://git-lfs"


def images(file: "ParquetFile", group: int) -> Iterator[bytes]:
    """Yield the bytes of each image of a row group; a missing image is empty."""
    columns = ["image.bytes"]
    for batch in file.iter_batches(_BATCH, row_groups=[group], columns=columns, use_threads=False):
        for image_bytes in batch.column(0).field("bytes"):
            yield image_bytes.as_py() or b""


@contextlib.contextmanager
def opened(path: Path) -> "Iterator[ParquetFile]":
    """Open a file as a ParquetFile, without threads, which a forked process would wait for.

    Raises:
        AlexrepError: If pyarrow is not installed.
        DataError: If it is no parquet file with these columns, or damaged.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        advice = "pip install 'alexrep[parquet]'"
        raise AlexrepError(mismatch(path, "pyarrow to read it", "none", advice)) from None
    with files.named(path), path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            advice = "git lfs pull brings the file"
            raise DataError(mismatch(path, "a parquet file", "a pointer of Git LFS", advice))
    try:
        with parquet.ParquetFile(
            path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
        ) as file:
            _require_columns(path, file.schema_arrow)
            yield file
    except (pa.ArrowException, OSError) as error:
        system.require_sound_disk(error, path)
        found = str(error).splitlines()[0]
        raise DataError(mismatch(path, "a parquet file", found, "download it again")) from None


def _require_columns(path: Path, schema: "Schema") -> None:
    names = set(schema.names)
    image = schema.field("image").type if "image" in names else None
    fields = {field.name for field in image} if image is not None and image.num_fields else set()
    if "label" not in names or not {"bytes", "path"} <= fields:
        wanted = "columns image, of bytes and path, and label"
        found = examples(sorted(names)) or "none"
        advice = "leave only the files of images there"
        raise DataError(mismatch(path, wanted, found, advice))
