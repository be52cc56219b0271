"""Files that are whole or absent: partial name, flush, rename; and the lock of a folder."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from alexrep.errors import DataError, ManifestError, mismatch

PARTIAL = ".partial"


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a partial name beside `path`; rename it to `path` when the block ends well.

    File and folder are flushed to disk, so that after a crash `path` is the old
    file, the new one, or absent. An exception removes the partial file. Its name
    is the process's own: two writers of one file replace each other's whole work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.uname().nodename}-{os.getpid()}{PARTIAL}")
    try:
        yield part
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk must be named
        raise


def sweep(folder: Path) -> None:
    """Remove the partial files below `folder`; nobody else may be writing there."""
    for part in folder.rglob(f"*{PARTIAL}"):
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole(path) as part:
        part.write_bytes(content)


def to_json(value: object) -> str:
    """Serialise `value` the one way in which equal values give equal text."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as JSON, whole or not at all."""
    write_bytes(path, to_json(value).encode())


def sha256_bytes(content: bytes | memoryview) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path, part: str = "") -> Iterator[None]:
    """Hold the only right to write into `folder`; a killed process loses it.

    Partial files that killed processes left are removed when the whole is locked.

    Args:
        folder: The folder; it is made if it is not there.
        part: Name of a part of the work. Parts of other names may be at work at
            the same time, a whole may not.

    Raises:
        ManifestError: If another process is writing there.
    """
    make_folder(folder)
    with contextlib.ExitStack() as stack:
        _lock(stack, folder, ".lock", shared=bool(part))
        if part:
            _lock(stack, folder, f".lock-{part}", shared=False)
        else:
            sweep(folder)
        yield


def _lock(stack: contextlib.ExitStack, folder: Path, name: str, shared: bool) -> None:
    stream = stack.enter_context((folder / name).open("a"))
    try:
        fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ManifestError(
            mismatch(folder, "one writer", "another process at work", "wait until it ends")
        ) from None


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Wait for the others that want the same, then hold the right alone."""
    with (folder / ".lock-turn").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents.

    Raises:
        DataError: If that is refused, or something else has the name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = mismatch(folder, "a folder to write to", error.strerror, "name another folder")
        raise DataError(message) from None


def require_space(folder: Path, need: int) -> None:
    """Refuse to start when the disk of `folder` has under `need` bytes free.

    Raises:
        DataError: If the disk is too full.
    """
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(standing).free
    if free < need:
        gigabytes = f"{need / 1e9:.1f} GB free", f"{free / 1e9:.1f} GB"
        raise DataError(mismatch(folder, *gigabytes, "make room or name another folder"))
