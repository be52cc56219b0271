"""Digests of a run's outputs, ignoring timings."""

from pathlib import Path

from alexrep import files
from alexrep.errors import DataError
from alexrep.runs import checkpoint, log
from alexrep.runs.folder import RunFolder

TIMES = ("images_per_s", "seconds", "feed_wait_share", "memory_bytes", "clock")
"""Fields of the log that differ between equal runs."""


def digests(folder: RunFolder) -> dict[str, str]:
    """Return the digest of every file that the pictures of a run are drawn from, by its name.

    Equal runs have equal digests: of the log, timings do not count; of checkpoints,
    only the weights do. Files that are not there are left out.
    """
    names = ("recipe.toml", "classes.json", "mean.npy", "pca.json")
    paths = [folder.path / name for name in names]
    paths += [folder.log, folder.checkpoint("last"), folder.checkpoint("best")]
    paths += (folder.path / "results").glob("*.npz")
    return {
        path.relative_to(folder.path).as_posix(): _digest(path)
        for path in sorted(paths)
        if path.is_file()
    }


def _digest(path: Path) -> str:
    try:
        if path.suffix == ".jsonl":
            rows = [{k: v for k, v in row.items() if k not in TIMES} for row in log.read(path)]
            return files.sha256_bytes(files.to_json(rows).encode())
        if path.suffix == ".pt":
            return checkpoint.weights_digest(checkpoint.load(path)["state_dict"])
    except DataError:
        pass  # A damaged file is for its picture to complain about.
    return files.sha256_file(path)
