"""Writing files whole or not at all: partial name, flush, rename."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.owner import is_running
from alexrep.system import FAILING

PARTIAL = ".partial"
_LONGEST = 255
"""Longest file name in bytes; the limit of Linux file systems."""
UNFLUSHED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What disks say that do not flush folders."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk, quota or file table."""


def nothing() -> None:
    """Do nothing."""


@contextlib.contextmanager
def whole(path: Path, check: Callable[[], None] = nothing) -> Iterator[Path]:
    """Yield a partial name beside `path`; rename it to `path` when the block ends well.

    File and folder are flushed to disk, so that after a crash `path` is the old
    file, the new one, or absent. An exception removes the partial file. Its name
    is the process's own: two writers of one file replace each other's whole work.

    Args:
        path: The file.
        check: Called before the rename; if it raises, `path` stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = partial_path(path)
    try:
        with named(path):
            yield part
            _flush(part)
            check()
            os.replace(part, path)
            _flush(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a partial folder beside `path`; rename it to `path` when the block ends well.

    After a crash `path` is whole or absent; an exception removes the partial folder.
    """
    part = partial_path(path)
    shutil.rmtree(part, ignore_errors=True)
    try:
        with named(path):
            part.mkdir(parents=True)
            yield part
            for below in part.rglob("*"):
                _flush(below)
            part.rename(path)
            _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the system in the block name `path`, if it does not name a file itself."""
    try:
        yield
    except BrokenPipeError:
        raise  # of a reader that has gone, not of a file
    except OSError as error:
        # Copying names its source first, whose disk has room enough.
        is_full = error.errno in FULL and error.filename2 is not None
        if error.errno is not None and (error.filename is None or is_full):
            error.filename = str(path)
            del error.filename2
        raise


def partial_path(path: Path) -> Path:
    """Return the name beside `path` under which this process writes it: it ends in host and pid."""
    end = f".{os.uname().nodename}-{os.getpid()}{PARTIAL}"
    is_short = len(os.fsencode(path.name + end)) <= _LONGEST
    return path.with_name((path.name if is_short else sha256_bytes(os.fsencode(path.name))) + end)


def sweep(folder: Path, before: float, is_left_alone: Callable[[Path], bool]) -> None:
    """Remove the partial files below `folder` that ended processes left behind.

    A partial name ends in host and process number; any other file stays. A partial file of this
    host is removed if no process of that number runs here, one of another host if it has not
    been written to since `before`. Partial folders of other hosts (copies of runs) stay.

    Args:
        folder: Where to look.
        before: A time by the clock of the disk, in seconds.
        is_left_alone: Tells whether to leave a folder below as it is, with all that is in it.
    """
    for parent, folders, names in os.walk(folder):
        if parent != str(folder) and is_left_alone(Path(parent)):
            folders.clear()
            continue
        for name in [name for name in folders if _is_ours_and_left(name)]:
            shutil.rmtree(Path(parent, name), ignore_errors=True)
            folders.remove(name)
        for name in names:
            if _is_ours_and_left(name) or _is_old(Path(parent, name), before):
                Path(parent, name).unlink(missing_ok=True)


def sweep_ours(folder: Path) -> None:
    """Remove the partial files below `folder` that killed processes of this host left."""
    sweep(folder, before=0.0, is_left_alone=lambda _: False)


def _is_ours_and_left(name: str) -> bool:
    """Tell whether a partial name is of a process of this host that has ended."""
    host = re.escape(os.uname().nodename)
    match = re.search(rf"\.{host}-(\d+){re.escape(PARTIAL)}$", name)
    return match is not None and not is_running(int(match[1]))


def _is_old(part: Path, before: float) -> bool:
    """Tell whether a file is a partial one of another host, last changed before `before`."""
    match = re.search(rf"\.(\S+)-\d+{re.escape(PARTIAL)}$", part.name)
    if match is None or f".{match[1]}".endswith(f".{os.uname().nodename}"):
        return False
    with contextlib.suppress(FileNotFoundError):
        return part.lstat().st_mtime < before
    return False


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network disks flush files only, and say of a folder that it cannot be.
        if error.errno not in UNFLUSHED or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def read_bytes(path: Path) -> bytes:
    """Read a file; an error of its disk names it, also after it was opened."""
    with named(path):
        return path.read_bytes()


def read_text(path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Read a text; as `read_bytes` does."""
    with named(path):
        return path.read_text(encoding, errors)


def write_bytes(
    path: Path, content: bytes | memoryview, check: Callable[[], None] = nothing
) -> None:
    """Write `content` to `path`, whole or not at all; see `whole`."""
    with whole(path, check) as part:
        part.write_bytes(content)


def to_json(value: object) -> str:
    """Serialise `value` so that equal values give equal text."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: object, check: Callable[[], None] = nothing) -> None:
    """Write `value` to `path` as JSON, whole or not at all; see `whole`."""
    write_bytes(path, to_json(value).encode(), check)


def sha256_bytes(content: bytes | memoryview) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with named(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents.

    Raises:
        DataError: If that is refused, or something else has the name.
        OSError: If the disk is full or fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (*FULL, *FAILING):
            raise
        message = mismatch(folder, "a folder to write to", error.strerror, "name another folder")
        raise DataError(message) from None


def require_space(folder: Path, need: int) -> None:
    """Refuse to start when the disk of `folder` has under `need` bytes free.

    Raises:
        DataError: If the disk is too full.
    """
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(standing).free
    if free < need:
        advice = "make room or name another folder"
        raise DataError(mismatch(folder, f"{_size(need)} free", _size(free), advice))


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
