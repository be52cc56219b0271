"""The system below: errors that say nothing about a file, and limits of this process."""

import contextlib
import errno
import os
import resource
import sys
from pathlib import Path

REMOTE_IO = getattr(errno, "EREMOTEIO", errno.EIO)
"""What Linux says of a disk elsewhere; other systems have no such number."""
OF_PATHS = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EINVAL, errno.ESPIPE, errno.EOVERFLOW),
)
"""Error numbers of a path that leads to no such file, or of a place that a file does not have."""
FAILING = (errno.EIO, errno.ENOLCK, errno.ESTALE, errno.ETIMEDOUT, errno.ENXIO, REMOTE_IO)
"""What the system says of a disk, or of a server, that does not work."""
ENVIRONMENT = (
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOLCK,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EROFS,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    REMOTE_IO,
)
"""Error numbers of disks, permissions and limits, which say nothing about the bytes of a file."""


def require_sound_disk(error: BaseException, path: Path) -> None:
    """Raise an error of the disk or the system again, with the file's name.

    It says nothing about the file's bytes, whoever reads them: not that it is damaged.

    Args:
        error: What was raised while the file was read.
        path: The file.
    """
    # Libraries raise one without a number for damaged bytes.
    if isinstance(error, OSError) and error.errno not in (None, *OF_PATHS):
        error.filename = error.filename or str(path)
        raise error


def allow_open_files(num: int = 4096) -> int:
    """Raise the soft limit on open files up to the hard one, to `num` if it can be.

    Returns:
        The limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = max(soft, min(hard, num))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def advise(descriptor: int, start: int, size: int, *, is_wanted: bool) -> None:
    """Tell the kernel that bytes of a file are wanted soon, or no more; macOS cannot be told."""
    if hasattr(os, "posix_fadvise"):
        advice = os.POSIX_FADV_WILLNEED if is_wanted else os.POSIX_FADV_DONTNEED
        os.posix_fadvise(descriptor, start, size, advice)


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def limit(kind: int, value: int, most: int | None = None) -> None:
    """Lower a limit of this process, up to `most`; where it is not taken, nothing is limited.

    macOS refuses to limit the address space, of which a process holds more from its start.
    """
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value if most is None else most))
