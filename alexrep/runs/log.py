"""The log of a run: one JSON object a line, kinds `step`, `epoch` and `event`."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import JsonValue

from alexrep import files
from alexrep.errors import DataError, mismatch

Row = dict[str, JsonValue]


class Log:
    """A log file open for appending; a line that a kill left unfinished is removed first.

    Args:
        path: The file; made, with its folder, if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = files.read_bytes(path) if path.exists() else b""
        if content and not content.endswith(b"\n"):
            cut(path, content.rfind(b"\n") + 1)
        self._path, self._stream = path, path.open("ab")

    def append(self, row: Mapping[str, JsonValue]) -> None:
        """Write `row` as one line, flushed to the operating system.

        Raises:
            ValueError: If a number in it is not finite.
        """
        line = json.dumps(row, sort_keys=False, allow_nan=False)
        with files.named(self._path):
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()

    def tell(self) -> int:
        """Flush the log to disk and return its size in bytes, for `cut` after a restart."""
        with files.named(self._path):
            self._stream.flush()
            os.fsync(self._stream.fileno())
        return self._stream.tell()

    def close(self) -> None:
        """Close the file; a line that could not be written is tried again, and fails again."""
        with files.named(self._path):
            self._stream.close()


def read(path: Path, size: int | None = None) -> list[Row]:
    """Read every finished line of a log; a last line without its newline is left out.

    Args:
        path: The log.
        size: Bytes to read, as `Log.tell` gave them; None for all.

    Raises:
        DataError: If there is no file, or a line is not a JSON object; the line is named.
    """
    if not path.is_file():
        raise DataError(mismatch(path, "the log of a run", "none", "run alexrep train first"))
    *lines, _unfinished = files.read_bytes(path)[:size].split(b"\n")
    return [_parse(line, f"{path} line {number}") for number, line in enumerate(lines, start=1)]


def cut(path: Path, size: int, check: Callable[[], None] = files.nothing) -> None:
    """Put the first `size` bytes of a log, as `Log.tell` gave them, in its place.

    The shorter log is a new file: a process that has lost the lock, but has not noticed yet,
    goes on writing to the old one, which nobody reads.

    Args:
        path: The log.
        size: Bytes to keep.
        check: As for `files.whole`.

    Raises:
        DataError: If the log is shorter than that, or missing.
    """
    found = path.stat().st_size if path.is_file() else 0
    if found < size:
        advice = "take the log and the checkpoint from the same run"
        raise DataError(mismatch(path, f"at least {size:,} bytes", f"{found:,}", advice))
    with files.whole(path, check) as part:
        shutil.copyfile(path, part)
        os.truncate(part, size)


def _parse(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        raise DataError(mismatch(where, "JSON", str(error), "mend or remove the line")) from None
    if not isinstance(row, dict):
        raise DataError(mismatch(where, "a JSON object", repr(row), "mend or remove the line"))
    return row


def _refuse(constant: str) -> None:
    # NaN and Infinity are not JSON, though json.loads takes them.
    raise ValueError(f"{constant}, which is not a JSON number")
