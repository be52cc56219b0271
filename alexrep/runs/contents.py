"""What pictures and reports read from a run; what is missing is named with what makes it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from alexrep import manifest
from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, ManifestError, mismatch
from alexrep.runs import description, log, results, trained
from alexrep.runs.description import Description
from alexrep.runs.folder import IMPORT, RunFolder
from alexrep.runs.history import History, from_rows
from alexrep.runs.results import Scored

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
    with suppress(ManifestError):
        manifest.read(path.with_name(manifest.NAME), IMPORT)
        advice = "a network that was imported has none"
    if RunFolder(path.parent).is_exported:
        advice = "an exported network has none"
    return need(path, what, advice)


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

    Raises:
        DataError: If the class table is missing or damaged.
    """
    folder = RunFolder(run)
    if not folder.is_exported:
        need(run / "classes.json", "a class table", "run alexrep train first")
    return folder.read_classes().short_names()


def read_colour_axes(run: Path) -> ColourAxes:
    """Read the colour axes.

    Raises:
        DataError: If they are missing or damaged.
    """
    path = need_training(run / "pca.json", "colour axes", _how_made(run, "pca"))
    try:
        return ColourAxes.model_validate_json(path.read_bytes())
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
        with path.open("rb") as stream:
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
    return _read_object(RunFolder(run).data)


def read_environment(run: Path) -> dict[str, Any]:
    """Read the environment that a run was begun in; empty if there is none.

    Raises:
        DataError: If it is damaged.
    """
    return _read_object(run / "environment.json")


def read_counts(run: Path) -> dict[str, int]:
    """Read the images, epochs and steps of a finished run; empty of any other.

    Raises:
        DataError: If the manifest is damaged.
    """
    counts = _read_object(RunFolder(run).manifest).get("counts", {})
    return {str(name): int(num) for name, num in counts.items()}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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


def read_history(run: Path) -> History:
    """Read the log as columns.

    Raises:
        NothingToShow: If there is none.
        DataError: If it is damaged.
    """
    path = need_training(run / "log.jsonl", "the log of a run", "run alexrep train first")
    return from_rows(log.read(path))


def read_weights(run: Path) -> tuple[Path, Mapping[str, Tensor]]:
    """Read the weights of the best checkpoint, or of the last one where no best is kept.

    Returns:
        The checkpoint's file, and its weights by name, on the CPU.

    Raises:
        NothingToShow: If there is no checkpoint.
        DataError: If it is damaged.
    """
    folder = RunFolder(run)
    path = folder.checkpoint("best")
    if not path.is_file():
        path = need(folder.checkpoint("last"), "a checkpoint", "run alexrep train first")
    state = trained.load(path).content.get("state_dict")
    if not isinstance(state, Mapping):
        raise DataError(mismatch(path, "weights under state_dict", "none", "train again"))
    return path, state


def read_scored(run: Path) -> Scored:
    """Read the result to show: test before val, ten-crop before centre, last before best.

    Raises:
        NothingToShow: If there is none.
        DataError: If it is damaged.
    """
    paths = (RunFolder(run).result(*name) for name in RESULTS)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise NothingToShow(mismatch(run / "results", "results", "none yet", "run alexrep eval"))
    return results.read_scored(path)


def _damaged(path: Path, what: str, found: object) -> str:
    return mismatch(path, what, found, "make the file again")
