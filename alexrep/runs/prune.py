"""Which checkpoints of a run are of no more use, by the rule of its recipe."""

from pathlib import Path

from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder

NUM_KEPT = 2
"""Whole checkpoints that a run can go on from, at least: the last and the one before it."""


def prunable(folder: RunFolder) -> list[Path]:
    """Return the checkpoints that may be removed; nothing is. Reads every one of them.

    The newest two whole ones stay, those of every `checkpoints.keep_epochs` epochs, and
    the best. The rest may go, and so may damaged ones; but where not one that a run can
    go on from is whole, all stay.

    Raises:
        DataError: If the folder is not a run's.
    """
    every = folder.read_recipe().checkpoints.keep_epochs
    found = folder.resumable()
    whole = [path for path in found if checkpoint.is_whole(path)]
    if not whole:
        return []
    epochs = {path: epoch for epoch, path in folder.epoch_checkpoints().items()}
    kept = [path for path in whole if path in epochs and every and epochs[path] % every == 0]
    best = folder.checkpoint("best")
    spoilt = [best] if best.is_file() and not checkpoint.is_whole(best) else []
    return [path for path in found if path not in (*whole[:NUM_KEPT], *kept)] + spoilt
