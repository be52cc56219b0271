"""A copy of a run to go on from with other rates."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.files import PARTIAL
from alexrep.runs.folder import RunFolder

LEFT = ("manifest.json", "results", "features", "plots", "report.html")
"""What says that a run is finished, or shows what it came to: the copy will come to other."""
CHECKPOINTS = ("last.pt", "previous.pt", "best.pt")
"""Checkpoints that are copied; those kept of earlier epochs are not."""


def copy(folder: RunFolder, new: RunFolder, checkpoint: Path | None = None) -> list[Path]:
    """Copy a run to a new folder, whole or not at all, as one that is not finished.

    Recipe, plan, classes, mean image, colour axes, notes, log and the checkpoints to go on
    from are copied; locks, partial files, results and pictures are not.
    A run that is under way may be copied: its checkpoints are read before its log, which
    only grows, and is cut to the checkpoint when the copy goes on.

    Args:
        folder: The run.
        new: The copy; not there yet.
        checkpoint: One of the run's checkpoints, which becomes the copy's last and only one;
            None: last, previous and best are copied.

    Returns:
        The names of the copied files.

    Raises:
        DataError: If the folder is not a run's, has no checkpoint, or the new one exists.
    """
    folder.read_recipe()
    if not (checkpoint or folder.checkpoint("last")).is_file():
        advice = "train it for a while, or train a new run by its recipe.toml"
        raise DataError(mismatch(folder.path, "a checkpoint to go on from", "none", advice))
    if new.path.exists():
        raise DataError(mismatch(new.path, "no such folder yet", "one", "name another"))
    sources = {name: folder.path / name for name in _copied(folder.path)}
    if checkpoint is not None:
        sources = {name: path for name, path in sources.items() if name.suffix != ".pt"}
        sources[new.checkpoint("last").relative_to(new.path)] = checkpoint
    names = sorted(sources, key=lambda name: (name.suffix != ".pt", name))
    with files.whole_folder(new.path) as part:
        for name in names:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources[name], part / name)
    return names


def _copied(run: Path) -> Iterator[Path]:
    """Yield the files to copy, by their names inside the run."""
    for path in run.rglob("*"):
        name = path.relative_to(run)
        is_passing = path.name.endswith(PARTIAL) or path.name.lstrip(".").startswith("lock")
        is_left = name.parts[0] in LEFT or is_passing or not path.is_file()
        if not is_left and (name.parts[0] != "checkpoints" or name.name in CHECKPOINTS):
            yield name
