"""Output to a terminal that may be gone: a failed remark is no failed work."""

import errno
import io
import os
import stat
import sys
from typing import TextIO

_OF_MEMORY = 1
"""Linux's number of /dev/null, /dev/full and the like."""


class _Terminal(io.RawIOBase):
    """Writes to a terminal; nothing once it has been closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Tell whether it is a terminal that is still there."""
        return os.isatty(self._descriptor)

    def write(self, content: object, /) -> int:
        """Write the bytes, or drop them if the terminal is gone."""
        piece = memoryview(content).cast("B")  # type: ignore[arg-type]
        try:
            return os.write(self._descriptor, piece)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(piece)


def outlive() -> None:
    """Let stdout and stderr, if they are terminals, be closed by whoever looks at them.

    Every write to a closed terminal is an error, also in work that goes on after `& disown`.
    """
    sys.stdout = _outliving(sys.stdout)
    sys.stderr = _outliving(sys.stderr)


def _outliving(stream: TextIO) -> TextIO:
    if type(stream) is not io.TextIOWrapper or not _is_terminal(stream):
        return stream
    buffered = io.BufferedWriter(_Terminal(stream.fileno()))
    # As Python itself does: whole lines to a terminal, and no line end changed.
    return io.TextIOWrapper(
        buffered, stream.encoding, stream.errors, line_buffering=True, write_through=True
    )


def _is_terminal(stream: TextIO) -> bool:
    """Tell a terminal, also one that is gone, which is no terminal any more to `isatty`."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) != _OF_MEMORY
