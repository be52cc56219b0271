"""A member of an archive, and what no member may be."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from alexrep.errors import DataError, mismatch


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a tar, in a zip or below a folder."""

    path: str
    """Path inside the archive, or below the folder."""
    offset: int
    """Offset of its first byte in the outermost file, in a zip of its header; 0 below a folder."""
    size: int
    """Size in bytes."""
    mtime: int
    """Modification time, in seconds since 1970."""
    crc32: int = 0
    """CRC-32 of its bytes, checked when it is read; 0 if none is known."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path if _is_bare(self.path) else PurePosixPath(self.path).name


def _is_bare(path: str) -> bool:
    """Tell whether a path is its own only part: parsing a million of them takes seconds."""
    return "/" not in path and path not in ("", ".")


def _parts(path: str) -> tuple[str, ...]:
    return (path,) if _is_bare(path) else PurePosixPath(path).parts


def is_passed_over(path: str) -> bool:
    """Tell whether a file is passed over in every tar, zip and folder.

    It is, if the file or a folder above it is hidden, as the `._` twins that a Mac packs, or
    kept by Windows or a Mac for itself.
    """
    return any((part.startswith(".") and part != "..") or part in _OWN for part in _parts(path))


_OWN = {"__MACOSX", "Thumbs.db", "desktop.ini"}


def refuse_hostile(archive: Path, name: str) -> None:
    """Refuse a member whose path is unsafe or unprintable.

    Raises:
        DataError: If it is; the message names archive and member.
    """
    parts, found = _parts(name), ""
    if name.startswith("/") or ".." in parts:
        found = "a path that leaves its folder"
    elif not parts or not name.isprintable():
        found = "an unprintable name"
    if found:
        raise DataError(
            mismatch(f"{archive}: {name!a}", "a plain file", found, "download it again")
        )
