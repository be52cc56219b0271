"""Tars read where they lie: members by offset, nested tars without unpacking; and plain files.

An archive is a tar, or a folder: its files are members like those of a tar.
"""

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from alexrep.errors import DataError, mismatch

MOST = 1 << 28
"""Bytes that an image may have; the largest of ILSVRC has 15 MB."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a tar or below a folder."""

    path: str
    """Path inside the tar, or below the folder."""
    offset: int
    """Place of its first byte in the outermost file; 0 below a folder."""
    size: int
    """Bytes."""
    mtime: int
    """Time of change, in seconds since 1970."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name


class _Section(io.RawIOBase):
    """A part of a file, read as if it were one."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor, self._start, self._size = descriptor, start, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        size = left if size < 0 else min(size, left)
        content = os.pread(self._descriptor, size, self._start + self._position)
        self._position += len(content)
        return content


def members(archive: Path, start: int = 0, size: int | None = None) -> list[Member]:
    """List the regular files of a tar, or of the tar that lies at `start` in `archive`.

    Only headers are read. Folders are passed over.

    Raises:
        DataError: If it is no tar or truncated, or holds a link, a device, or a
            path that climbs.
    """
    found = []
    try:
        with archive.open("rb", buffering=0) as stream:
            whole = os.fstat(stream.fileno()).st_size - start if size is None else size
            section = _Section(stream.fileno(), start, whole)
            with tarfile.open(fileobj=section, mode="r:") as tar:
                for info in tar:
                    # tarfile keeps all of them, at half a kilobyte each.
                    tar.members.clear()  # type: ignore[attr-defined]  # of typeshed
                    _refuse_truncated(archive, info, whole)
                    if not info.isdir():
                        _refuse_hostile(archive, info)
                        offset = start + info.offset_data
                        found.append(Member(info.name, offset, info.size, int(info.mtime)))
                _refuse_damaged(archive, section, tar.offset)
    except PermissionError:
        raise  # the archive may be whole
    # int(mtime) raises the last two: a header may call the time infinite.
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise DataError(mismatch(archive, "a tar", error, "get it anew")) from None
    return found


def read(archive: Path, member: Member) -> bytes:
    """Read one member of a tar, or one file below a folder.

    Raises:
        DataError: If it is too long for an image, the file ends before it does, or
            is not the one that was listed.
    """
    if member.size > MOST:
        where, found = f"{archive}: {member.path}", f"{member.size} bytes"
        raise DataError(mismatch(where, f"at most {MOST} bytes", found, "remove it"))
    if archive.is_dir():
        return _read_file(archive, member)
    with archive.open("rb", buffering=0) as stream:
        content = os.pread(stream.fileno(), member.size, member.offset)
    if len(content) != member.size:
        found = f"{len(content)} bytes"
        where = f"{archive}: {member.path}"
        raise DataError(mismatch(where, f"{member.size} bytes", found, "get it anew"))
    return content


def _read_file(folder: Path, member: Member) -> bytes:
    """Read a file that must have the size that it was listed with."""
    path, advice = folder / member.path, "leave the folder alone, and start again"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(mismatch(path, "a readable file", error.strerror, advice)) from None
    if len(content) != member.size:
        found = f"{len(content)} bytes"
        raise DataError(mismatch(path, f"{member.size} bytes", found, advice))
    return content


def index_digest(listed: list[Member]) -> str:
    """Return a digest of names, offsets, sizes and times: an archive's identity, in seconds."""
    digest = hashlib.sha256()
    for one in listed:
        line = f"{one.path}\t{one.offset}\t{one.size}\t{one.mtime}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _refuse_hostile(archive: Path, info: tarfile.TarInfo) -> None:
    path = PurePosixPath(info.name)
    found = ""
    if info.name.startswith("/") or ".." in path.parts:
        found = "a path that climbs"
    elif not path.name or not info.name.isprintable():
        found = "a name that cannot be written"
    elif not info.isreg() or info.issparse():
        found = "a link or a device"
    if found:
        where = f"{archive}: {info.name!a}"
        raise DataError(mismatch(where, "a plain file", found, "get it anew"))


def _refuse_truncated(archive: Path, info: tarfile.TarInfo, size: int) -> None:
    """Refuse a member that ends after the tar, or before it begins: tarfile would read for ever."""
    if not 0 <= info.size <= size - info.offset_data:
        where, found = f"{archive}: {info.name!a}", f"an end after {size} bytes"
        raise DataError(mismatch(where, f"{info.size} bytes", found, "get it anew"))


def _refuse_damaged(archive: Path, section: _Section, end: int) -> None:
    """Refuse what tarfile takes for the end: any header that it does not understand."""
    section.seek(end)
    block = section.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0"):
        wanted = f"a header at byte {end} of the tar"
        raise DataError(mismatch(archive, wanted, "a damaged one", "get it anew"))
