"""The system below: errors that say nothing about a file, and limits of this process."""

import errno
import resource
from pathlib import Path

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
    errno.EREMOTEIO,
)
"""Error numbers of disks, permissions and limits, which say nothing about the bytes of a file."""


def require_sound_disk(error: BaseException, path: Path) -> None:
    """Raise an error of the disk or the system again, with the file's name.

    It says nothing about the file's bytes, whoever reads them.

    Args:
        error: What was raised while the file was read.
        path: The file.
    """
    if isinstance(error, OSError) and error.errno in ENVIRONMENT:
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
