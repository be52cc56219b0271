"""Reads the images of a compressed tar once, from its beginning to its end."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.archives import MOST, require_plain
from alexrep.ilsvrc.folders import SUFFIXES
from alexrep.ilsvrc.member import is_passed_over
from alexrep.system import require_sound_disk


def images(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of each image of a tar.gz; nothing is kept or written to disk.

    Raises:
        DataError: If it is no tar.gz, is truncated or damaged, or holds what is no image.
    """
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for info in tar:
                # tarfile would keep all headers, half a kilobyte each.
                tar.members.clear()  # type: ignore[attr-defined]  # of typeshed
                if info.isdir() or is_passed_over(info.name):
                    continue
                _require_image(archive, info)
                content = tar.extractfile(info)
                assert content is not None, "a regular file has content"  # noqa: S101
                yield info.name, content.read()
            _require_end(archive, stream)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        require_sound_disk(error, archive)
        raise DataError(mismatch(archive, "a tar.gz", error, "download it again")) from None


def _require_image(archive: Path, info: tarfile.TarInfo) -> None:
    require_plain(archive, info)
    where, advice = f"{archive}: {info.name}", "remove it"
    if info.size > MOST:
        raise DataError(mismatch(where, f"at most {MOST} bytes", f"{info.size} bytes", advice))
    if not info.name.lower().endswith(SUFFIXES):
        raise DataError(mismatch(where, "an image", "another kind of file", advice))


def _require_end(archive: Path, stream: gzip.GzipFile) -> None:
    """Read on to the end, where gzip has its checksum; a damaged header would end a tar early."""
    while rest := stream.read(1 << 16):
        if rest.strip(b"\0"):
            found, advice = "bytes behind its end", "download it again"
            raise DataError(mismatch(archive, "the end of a tar", found, advice))
