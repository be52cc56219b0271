"""Errors of the system in one line: full and failing disks, permissions, limits, memory."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from alexrep.errors import AlexrepError, mismatch
from alexrep.files import FULL, PARTIAL
from alexrep.system import ENVIRONMENT, FAILING

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
UNNAMED = "the output"
"""What an error is about that names no file."""
MISPLACED = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY)
"""What the system says of a file where a folder should be, and the other way round."""
GPU_IS_FULL = r"(?:CUDA|HIP|MPS|XPU)\b.* out of memory"
SHORTAGES = {
    rf"{GPU_IS_FULL}.*?(?i:tried to allocate) (?P<size>[\d.]+ \w+)": "the GPU",
    GPU_IS_FULL: "the GPU",
    r"can't allocate memory: you tried to allocate (?P<size>\d+ bytes)": "the machine",
}
"""What PyTorch says where memory runs out, and whose memory it is."""


def explain(error: OSError) -> str | None:
    """Return the one line that an error of the system deserves; None if it is not expected."""
    if error.errno in FULL:
        advice = "make room, then start it again: it goes on where it stopped"
        return mismatch(_path_of(error), "room on the disk", "none", advice)
    if error.errno in REFUSED:
        advice = "change its permissions or name another"
        found = f"{error.strerror!r}" if error.filename else "a refusal"
        return mismatch(_refusing(_path_of(error)), "permission to use it", found, advice)
    if error.errno is None or isinstance(error, BrokenPipeError):
        return None
    if error.filename is None and error.errno not in ENVIRONMENT:
        return None
    return (error.errno in MISPLACED and _misplaced(error)) or _unusable(error)


def of_memory(error: MemoryError | ImportError | RuntimeError) -> str | None:
    """Say that memory is short, also of a library that could not be loaded for want of it."""
    if (found := shortage(error)) is None:
        return None
    advice = "allow more memory (ulimit -v, --mem), or use fewer workers or smaller batches"
    return mismatch("memory", "enough for this command", found, advice)


def shortage(error: BaseException) -> str | None:
    """Return what an error says of memory that is short; None if it is of something else."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return text or "none left"
    if isinstance(error, ImportError):
        return text if "failed to map" in text else None
    for pattern, owner in SHORTAGES.items() if isinstance(error, RuntimeError) else ():
        if said := re.search(pattern, text):
            size = said.groupdict().get("size")
            return f"none left on {owner}" + (f" for {size} more" if size else "")
    return None


@contextlib.contextmanager
def memory_for(work: str, advice: str) -> Iterator[None]:
    """Turn an error that says that memory has run out into one that names what it was for.

    Args:
        work: What is computed, with the numbers that decide how much memory it takes.
        advice: How to need less.

    Raises:
        AlexrepError: If it has.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if (found := shortage(error)) is None:
            raise
        raise AlexrepError(mismatch("memory", f"enough for {work}", found, advice)) from error


def _refusing(path: str) -> str:
    """Return a file that is there, or else the folder that it was to be made in.

    Which files a command makes in a folder is nothing that its user has named.
    """
    folder = Path(path).parent
    is_new = not Path(path).exists() and folder.is_dir() and folder != Path()
    return str(folder) if is_new else path


def _misplaced(error: OSError) -> str | None:
    """Say of a file or a folder that the other should be there; None if neither is."""
    # Of a rename the second name is the one that was taken.
    path = Path(str(error.filename2 or _path_of(error)))
    # Where a folder is needed on the way, it is the file in its place that is wrong.
    path = next((parent for parent in reversed(path.parents) if parent.is_file()), path)
    if not path.exists():
        return None
    kinds = ("a file", "a folder") if path.is_dir() else ("a folder", "a file")
    return mismatch(path, *kinds, "move it away, then start again")


def _unusable(error: OSError) -> str:
    """Pass on what the system says of a file."""
    advice = "look at the path and its disk, then start again"
    if error.errno in FAILING:
        wanted, found = "a disk that can be read and written", repr(_said(error))
        advice = "look at the disk (dmesg), then start again; no file is known to be damaged"
        return mismatch(_path_of(error), wanted, found, advice)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        advice = "allow more open files with ulimit -n, then start again"
    wanted = "a file that can be used"
    return mismatch(_path_of(error), wanted, repr(_said(error)), advice)


def _said(error: OSError) -> str | None:
    """Return what the system says; h5py adds what it was about to do."""
    return error.strerror if error.errno is None else os.strerror(error.errno)


def _path_of(error: OSError) -> str:
    """Name the file; h5py has it in the text only."""
    said = re.search(r"filename = '([^']+)'", str(error))
    path = str(error.filename or (said and said[1]) or UNNAMED)
    # A partial name means nothing to the user: the file that it was to become does.
    host = re.escape(os.uname().nodename)
    path = re.sub(rf"\.{host}-\d+{re.escape(PARTIAL)}$", "", path)
    # The lock's look at the clock of the disk.
    return re.sub(r"/\.lock-clock-[0-9a-f]{16}$", "", path)
