"""The notes of a run: dated lines in RUN/notes.txt."""

from datetime import date
from pathlib import Path

from alexrep import files, locks
from alexrep.errors import ConfigError, mismatch
from alexrep.runs.folder import RunFolder

NAME = "notes.txt"


def append(folder: RunFolder, text: str, today: date) -> str:
    """Add a line to a run's notes, whole or not at all, whoever else adds one now.

    Args:
        folder: The run.
        text: The note; white space, line ends among it, becomes single spaces.
        today: The day to date it by.

    Returns:
        The line.

    Raises:
        ConfigError: If there is nothing in the note.
        DataError: If the folder is not a run's.
    """
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    if not words:
        raise ConfigError(mismatch("the note", "some text", repr(text), "say something"))
    folder.read_recipe()
    line = f"{today.isoformat()} {' '.join(words)}"
    # The run's own lock is its training's, beside which notes are made.
    with locks.in_turn(folder.path):
        files.write_bytes(_path(folder), f"{_read(folder)}{line}\n".encode())
    return line


def lines(folder: RunFolder) -> list[str]:
    """Return a run's notes, oldest first."""
    return _read(folder).splitlines()


def newest(folder: RunFolder) -> str | None:
    """Return the last of a run's notes, if there are any."""
    notes = lines(folder)
    return notes[-1] if notes else None


def _read(folder: RunFolder) -> str:
    path = _path(folder)
    # Anybody may edit the file: a byte that is no UTF-8 must not hide the rest.
    text = files.read_text(path, errors="replace") if path.is_file() else ""
    return text if text.endswith("\n") or not text else f"{text}\n"


def _path(folder: RunFolder) -> Path:
    return folder.path / NAME
