"""Reads members of tars and zips in place, nested tars included, and files of folders.

An archive is a tar, a zip or a folder; the files of a folder are members like those of a tar.
"""

import contextlib
import functools
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.files import named, read_bytes
from alexrep.ilsvrc import zips
from alexrep.ilsvrc.member import Member, is_passed_over, refuse_hostile
from alexrep.system import require_sound_disk

MOST = 1 << 28
"""Largest size of an image, in bytes; the largest of ILSVRC has 15 MB."""


MOST_HEADER = 1 << 20
"""Largest size of a tar's header with its extensions, in bytes."""


class _Section(io.RawIOBase):
    """A section of a file, readable like a file."""

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
        if size > MOST_HEADER:  # names and times; tarfile would read gigabytes to memory
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        section = os.pread(self._descriptor, size, self._start + self._position)
        self._position += len(section)
        return section


def members(
    archive: Path, start: int = 0, size: int | None = None, others: list[str] | None = None
) -> list[Member]:
    """List the regular files of a tar, or of the tar that lies at `start` in `archive`.

    Only headers are read. Folders are skipped. A hard link is the file that it links to.

    Args:
        archive: The tar, or the one that has it inside.
        start: Offset of the tar.
        size: Its size in bytes; None: up to the end.
        others: Gets the paths of what is passed over; see `is_passed_over`.

    Raises:
        DataError: If it is no tar, is truncated, or holds a symbolic link, a device, or a path
            that leaves its folder.
    """
    listed: list[Member] = []
    try:
        with archive.open("rb", buffering=0) as stream:
            whole = os.fstat(stream.fileno()).st_size - start if size is None else size
            section = _Section(stream.fileno(), start, whole)
            with tarfile.open(fileobj=section, mode="r:") as tar:
                for info in tar:
                    # tarfile would keep all headers, half a kilobyte each.
                    tar.members.clear()  # type: ignore[attr-defined]  # of typeshed
                    _refuse_truncated(archive, info, whole)
                    if info.isdir():
                        continue
                    if is_passed_over(info.name):
                        (others if others is not None else []).append(ascii(info.name)[1:-1])
                    elif info.islnk():
                        listed.append(_linked(archive, info, listed))
                    else:
                        require_plain(archive, info)
                        offset = start + info.offset_data
                        listed.append(Member(info.name, offset, info.size, int(info.mtime)))
                _refuse_damaged(archive, section, tar.offset)
    # int(mtime) raises two of them: a header may hold an infinite time.
    except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
        require_sound_disk(error, archive)
        raise DataError(mismatch(archive, "a tar", error, "download it again")) from None
    return listed


def first_names(archive: Path, num: int) -> list[str]:
    """Return the paths of the first members of a tar; none if it is no tar."""
    names: list[str] = []
    try:
        with named(archive), archive.open("rb", buffering=0) as stream:
            section = _Section(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)
            with tarfile.open(fileobj=section, mode="r:") as tar:
                while len(names) < num and (info := tar.next()) is not None:
                    names += [info.name] if info.isreg() else []
    except (tarfile.TarError, ValueError, OverflowError, RecursionError):
        return names
    return names


def read(archive: Path, member: Member) -> bytes:
    """Read one member of a tar or zip, or one file below a folder; see `reader`."""
    with reader(archive) as read_member:
        return read_member(member)


@contextlib.contextmanager
def reader(archive: Path) -> Iterator[Callable[[Member], bytes]]:
    """Yield what reads one member of an archive after the other; a tar is opened once.

    It raises a DataError if the member is larger than MOST, the file ends before it, its CRC-32
    is another, or it has changed since it was listed.
    """
    if archive.is_dir():
        yield functools.partial(_read_file, archive)
    elif is_zip(archive):
        yield functools.partial(_read_checked, archive, functools.partial(zips.read, archive))
    else:
        with named(archive):
            stream = archive.open("rb", buffering=0)
        with stream:
            part = functools.partial(_part, archive, stream.fileno())
            yield functools.partial(_read_checked, archive, part)


def _part(archive: Path, descriptor: int, member: Member) -> bytes:
    with named(archive):
        return os.pread(descriptor, member.size, member.offset)


def _require_small(archive: Path, member: Member) -> None:
    if member.size > MOST:
        where, found = f"{archive}: {member.path}", f"{member.size} bytes"
        raise DataError(mismatch(where, f"at most {MOST} bytes", found, "remove it"))


def _read_checked(archive: Path, part: Callable[[Member], bytes], member: Member) -> bytes:
    """Read a member of a tar or zip, which must have its size and CRC-32."""
    _require_small(archive, member)
    image_bytes = part(member)
    if len(image_bytes) != member.size:
        found = f"{len(image_bytes)} bytes"
        where = f"{archive}: {member.path}"
        raise DataError(mismatch(where, f"{member.size} bytes", found, "download it again"))
    if member.crc32 and member.crc32 != (crc32 := zlib.crc32(image_bytes)):
        where, found = f"{archive}: {member.path}", f"{crc32:08x}"
        raise DataError(mismatch(where, f"crc32 {member.crc32:08x}", found, "prepare it again"))
    return image_bytes


def is_zip(archive: Path) -> bool:
    """Tell whether an archive is a zip, by its name."""
    return archive.suffix.lower() == ".zip"


def _read_file(folder: Path, member: Member) -> bytes:
    """Read a file that must have the size it was listed with."""
    _require_small(folder, member)
    path, advice = folder / member.path, "leave the folder unchanged and start again"
    try:
        image_bytes = read_bytes(path)
    except OSError as error:
        require_sound_disk(error, path)
        raise DataError(mismatch(path, "a readable file", error.strerror, advice)) from None
    if len(image_bytes) != member.size:
        found = f"{len(image_bytes)} bytes"
        raise DataError(mismatch(path, f"{member.size} bytes", found, advice))
    return image_bytes


def index_digest(listed: list[Member]) -> str:
    """Return a digest of paths, offsets, sizes and times, which needs no reading of images."""
    digest = hashlib.sha256()
    for member in listed:
        line = f"{member.path}\t{member.offset}\t{member.size}\t{member.mtime}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def require_plain(archive: Path, info: tarfile.TarInfo) -> None:
    """Refuse a member that is no regular file, or whose name is unsafe or unprintable.

    Raises:
        DataError: If it is.
    """
    refuse_hostile(archive, info.name)
    where, found, advice = f"{archive}: {info.name!a}", "", "download it again"
    if info.issparse():
        found, advice = "a sparse one", "pack the tar without --sparse"
    elif not info.isreg():
        found = "a link or a device"
    if found:
        raise DataError(mismatch(where, "a plain file", found, advice))


def _linked(archive: Path, info: tarfile.TarInfo, before: list[Member]) -> Member:
    """Return a hard link as a member: the bytes of the file of that path before it."""
    refuse_hostile(archive, info.name)
    target = next((member for member in reversed(before) if member.path == info.linkname), None)
    if target is None:
        where, found = f"{archive}: {info.name!a}", f"a link to {info.linkname!a}, not before it"
        raise DataError(mismatch(where, "a plain file", found, "pack the tar again"))
    return Member(info.name, target.offset, target.size, int(info.mtime))


def _refuse_truncated(archive: Path, info: tarfile.TarInfo, size: int) -> None:
    """Refuse a member that ends past the tar, or before it begins: tarfile would not stop."""
    if not 0 <= info.size <= size - info.offset_data:
        where, found = f"{archive}: {info.name!a}", f"an end after {size} bytes"
        raise DataError(mismatch(where, f"{info.size} bytes", found, "download it again"))


def _refuse_damaged(archive: Path, section: _Section, end: int) -> None:
    """Refuse a damaged header, which tarfile takes for the end of the tar."""
    section.seek(end)
    block = section.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0"):
        wanted = f"a header at byte {end} of the tar"
        raise DataError(mismatch(archive, wanted, "a damaged one", "download it again"))
