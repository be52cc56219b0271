"""Runs below a folder, and how far each has come."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alexrep import locks
from alexrep.config.recipe import Recipe
from alexrep.errors import AlexrepError, DataError, mismatch
from alexrep.files import PARTIAL
from alexrep.runs import log, notes
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row


@dataclass(frozen=True)
class Overview:
    """One line about a run."""

    run: str
    """The run's folder."""
    recipe: str | None
    """Name of its recipe; None where it cannot be read."""
    state: str
    """As `state_of` returns it, or what is wrong with the run."""
    epochs: int
    """Epochs that have been finished and validated."""
    best_val_top1_error: float | None
    """Lowest val top-1 error, centre patch, of all epochs."""
    note: str | None
    """The newest note."""


def find(root: Path) -> list[RunFolder]:
    """Return the runs at and below `root`, sorted by path; a run holds no others.

    Raises:
        DataError: If there is no such folder.
    """
    if not root.is_dir():
        raise DataError(mismatch(root, "a folder of runs", "none", "name the folder they are in"))
    return [RunFolder(path) for path in sorted(_below(root))]


def newest(root: Path) -> RunFolder:
    """Return the run at or below `root` whose last checkpoint was written last.

    Raises:
        DataError: If there is no such folder, or no run with a checkpoint to go on from.
    """
    times = {folder: _saved(folder) for folder in find(root)}
    begun = {folder: time for folder, time in times.items() if time is not None}
    if not begun:
        wanted, advice = "a run with a checkpoint", "name the folder that runs are in"
        raise DataError(mismatch(root, wanted, "none", advice))
    return max(begun, key=lambda folder: (begun[folder], folder.path))


def _saved(folder: RunFolder) -> int | None:
    """Return when a run's newest checkpoint was written, in nanoseconds; None without one."""
    times = [path.stat().st_mtime_ns for path in folder.resumable()]
    return max(times, default=None)


def _below(root: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(root):
        if "recipe.toml" in names:
            folders.clear()
            yield Path(path)
        # What a killed copy left is no run.
        folders[:] = [name for name in folders if not name.endswith(PARTIAL)]


def overview(folder: RunFolder) -> Overview:
    """Return the line about a run; a damaged one says so in its state, and is never left out."""
    note = notes.newest(folder)
    try:
        recipe, rows = folder.read_recipe(), epoch_rows(folder)
    except AlexrepError as error:
        return Overview(str(folder.path), None, f"unreadable: {error}", 0, None, note)
    errors = [row["val_top1_error"] for row in rows]
    best = min((error for error in errors if isinstance(error, float)), default=None)
    state = state_of(folder, recipe, rows)
    return Overview(str(folder.path), recipe.name, state, num_epochs(rows), best, note)


def state_of(folder: RunFolder, recipe: Recipe, rows: list[Row]) -> str:
    """Return `finished`, `under way` or `stopped at epoch E of N`, `not begun`, or `exported`.

    A run is under way while a process holds its lock, for whatever it does.
    """
    if folder.is_exported:
        return "exported"
    if folder.manifest.exists():
        return "finished"
    if rows or folder.checkpoint("last").exists():
        doing = "under way" if locks.is_held(folder.path) else "stopped"
        return f"{doing} at epoch {num_epochs(rows)} of {recipe.schedule.epochs}"
    return "not begun"


def num_epochs(rows: list[Row]) -> int:
    """Return the number of finished epochs in the rows of a log."""
    epoch = rows[-1]["epoch"] if rows else 0
    return epoch if isinstance(epoch, int) else 0


def epoch_rows(folder: RunFolder) -> list[Row]:
    """Return a run's rows of finished epochs; none before its log is begun.

    Raises:
        DataError: If the log is damaged.
    """
    if not folder.log.is_file():
        return []
    rows = [row for row in log.read(folder.log) if row.get("kind") == "epoch"]
    for row in rows:
        if not {"epoch", "val_top1_error"} <= row.keys():
            advice = "mend or remove the line"
            raise DataError(mismatch(folder.log, "epoch and val_top1_error", str(row), advice))
    return rows
