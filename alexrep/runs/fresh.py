"""A new folder for a run that was given no name."""

from datetime import datetime
from pathlib import Path

MOST = 1000
"""Runs of one name that may begin in one second."""


def make(root: Path, name: str, now: datetime) -> Path:
    """Make a folder that no other start gets: NAME-DATE-TIME below `root`, and a number if taken.

    Args:
        root: Where the runs are; made if it is not there.
        name: Name of the recipe.
        now: The time, to the second.

    Raises:
        FileExistsError: If a thousand runs of this name began in this second.
    """
    root.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{now:%Y%m%d-%H%M%S}"
    for number in range(1, MOST + 1):
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()  # fails if another start was faster
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{root / stem}: taken {MOST} times")
