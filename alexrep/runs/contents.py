"""What pictures and reports read from a run; what is missing is named with what makes it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from alexrep import files, manifest
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, DataError, mismatch
from alexrep.manifest import Manifest
from alexrep.runs import csv_log, description, log, results, trained
from alexrep.runs.description import Description
from alexrep.runs.folder import RunFolder
from alexrep.runs.history import History, from_rows
from alexrep.runs.results import Scored
from alexrep.runs.trained import Trained

Triple = tuple[float, float, float]
Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

RESULTS = [
    (split, views, checkpoint)
    for checkpoint in ("last", "best")
    for split in ("test", "val")
    for views in ("ten-crop", "centre")
]
"""Results that may be shown, the one to show first."""


class ColourAxes(BaseModel):
    """The part of pca.json that is drawn."""

    model_config = ConfigDict(frozen=True)

    mean: Triple
    """Channel means in grey levels, RGB."""
    axes: tuple[Triple, Triple, Triple]
    """Unit eigenvectors of the covariance as columns; rows are R, G, B."""
    stds: Triple
    """Standard deviation along each axis, in grey levels, falling."""
    num_pixels: int
    """Pixels of the training set."""


class NothingToShow(DataError):
    """What a picture would show is not there: the other pictures are drawn without it."""


def need(path: Path, what: str, advice: str) -> Path:
    """Return `path` if it is a file.

    Raises:
        NothingToShow: If it is not.
    """
    if not path.is_file():
        raise NothingToShow(mismatch(path, what, "none", advice))
    return path


def need_training(path: Path, what: str, advice: str) -> Path:
    """Return `path`, a file that training leaves in a run, if it is there.

    Raises:
        NothingToShow: If it is not; of an imported network it never is.
    """
    if RunFolder(path.parent).is_imported:
        advice = "a network that was imported has none"
    if RunFolder(path.parent).is_exported:
        advice = "an exported network has none"
    return need(path, what, advice)


def name_of(run: Path) -> str:
    """Return what titles call a run, or the file of a log: its own name.

    Its parent's is before it if it is called just "run".
    """
    path = run.resolve()
    if path.name == "run":
        return f"{path.parent.name}/{path.name}"
    return path.stem if path.is_file() else path.name


def names_of(runs: Sequence[Path]) -> list[str]:
    """Return what titles call each of several runs: the ends of their paths that tell them apart.

    Raises:
        ConfigError: If one is named twice.
    """
    paths = [run.resolve() for run in runs]
    if twice := [str(path) for path, num in Counter(paths).items() if num > 1]:
        raise ConfigError(mismatch("RUN", "each run once", twice[0], "name it once"))
    names = [name_of(run) for run in runs]
    length = 1
    while len(set(names)) < len(names):
        length += 1
        names = ["/".join(path.parts[-length:]) for path in paths]
    return names


def read_recipe(run: Path) -> Recipe:
    """Read the recipe of a run.

    Raises:
        NothingToShow: If there is none.
    """
    folder = RunFolder(run)
    if not folder.is_exported:
        need(folder.recipe, "the recipe of a run", "run alexrep train first")
    return folder.read_recipe()


def read_classes(run: Path) -> list[str]:
    """Read the first name of each class, in the order of their indices.

    Where two classes have the same, as the cranes of ILSVRC do, the wnid follows it.

    Raises:
        DataError: If the class table is missing or damaged.
    """
    folder = RunFolder(run)
    if not folder.is_exported:
        need(run / "classes.json", "a class table", "run alexrep train first")
    table = folder.read_classes()
    names = table.short_names()
    times = Counter(names)
    return [
        f"{name} ({synset.wnid})" if times[name] > 1 else name
        for name, synset in zip(names, table.synsets, strict=True)
    ]


def read_colour_axes(run: Path) -> ColourAxes:
    """Read the colour axes.

    Raises:
        DataError: If they are missing or damaged.
    """
    path = need_training(run / "pca.json", "colour axes", _how_made(run, "pca"))
    try:
        return ColourAxes.model_validate_json(files.read_bytes(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the text"
        found = f"a fault at {where} ({fault['msg']})"
        raise DataError(_damaged(path, "colour axes", found)) from None


def read_mean(run: Path) -> NDArray[np.float32]:
    """Read the mean image: float32 grey levels, RGB, (side, side, 3).

    Raises:
        DataError: If it is missing or damaged.
    """
    path = need(run / "mean.npy", "a mean image", _how_made(run, "mean"))
    try:
        with files.named(path), path.open("rb") as stream:
            mean: NDArray[np.float32] = np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise DataError(_damaged(path, "an array", error)) from None
    if mean.ndim != 3 or mean.shape[2] != 3 or not np.isfinite(mean).all():
        found = f"{mean.shape}, finite: {bool(np.isfinite(mean).all())}"
        raise DataError(_damaged(path, "(side, side, 3) finite grey levels", found))
    return mean


def read_description(run: Path) -> Description:
    """Read what a run is and how far it has come.

    Raises:
        DataError: If the folder is not a run's, or its log or a result is damaged.
    """
    return description.describe(RunFolder(run))


def read_data(run: Path) -> dict[str, Any]:
    """Read what the images of a run are; empty in runs that did not record it.

    Raises:
        DataError: If the record is damaged.
    """
    return RunFolder(run).read_data()


def read_environment(run: Path) -> dict[str, Any]:
    """Read the environment that a run was begun in; empty if there is none.

    Raises:
        DataError: If it is damaged.
    """
    return _read_object(run / "environment.json")


def read_counts(run: Path) -> dict[str, int]:
    """Read the images, epochs and steps of a finished run; empty of any other.

    Raises:
        ManifestError: If the manifest is damaged.
    """
    folder = RunFolder(run)
    record = manifest.planned(folder.manifest, folder.plan) if folder.manifest.exists() else None
    return record.counts if isinstance(record, Manifest) else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(files.read_text(path))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(_damaged(path, "JSON", error)) from None
    if not isinstance(content, dict):
        raise DataError(_damaged(path, "a JSON object", type(content).__name__))
    return content


def _how_made(run: Path, stage: str) -> str:
    """Say what to do where a run lacks mean image or colour axes."""
    if stage not in read_recipe(run).statistics:
        return "the recipe uses none"
    return f"run alexrep {stage}, then alexrep train"


def num_planned(run: Path) -> int | None:
    """Return how many epochs a run is to have; None of the log of another program."""
    return None if run.is_file() else read_recipe(run).schedule.epochs


def read_history(run: Path) -> History:
    """Read the log as columns.

    Args:
        run: The run's folder, or the CSV log of another program.

    Raises:
        NothingToShow: If there is none.
        DataError: If it is damaged.
    """
    if run.is_file():
        return from_rows(csv_log.read(run).rows)
    path = need_training(run / "log.jsonl", "the log of a run", "run alexrep train first")
    return from_rows(log.read(path))


def read_trained(run: Path) -> Trained:
    """Read the checkpoint to show: that of the result to show, else the last, else the best.

    Raises:
        NothingToShow: If there is no checkpoint.
        DataError: If it is damaged.
    """
    folder, result = RunFolder(run), _result_to_show(run)
    scored = [results.read(result).checkpoint] if result is not None else []
    paths = [folder.checkpoint(which) for which in (*scored, "last", "best")]
    path = next((path for path in paths if path.is_file()), folder.checkpoint("last"))
    network = trained.load(need(path, "a checkpoint", "run alexrep train first"))
    if not isinstance(network.content.get("state_dict"), Mapping):
        raise DataError(mismatch(path, "weights under state_dict", "none", "train again"))
    return network


def read_scored(run: Path) -> Scored:
    """Read the result to show: test before val, ten-crop before centre, last before best.

    Raises:
        NothingToShow: If there is none.
        DataError: If it is damaged.
    """
    path = _result_to_show(run)
    if path is None:
        raise NothingToShow(mismatch(run / "results", "results", "none yet", "run alexrep eval"))
    return results.read_scored(path)


def _result_to_show(run: Path) -> Path | None:
    paths = (RunFolder(run).result(*name) for name in RESULTS)
    return next((path for path in paths if path.is_file()), None)


def _damaged(path: Path, what: str, found: object) -> str:
    return mismatch(path, what, found, "make the file again")
