"""What the pictures read from a run; what is missing is named with the command that makes it.

Shapes: N images scored, M of them kept for the sheet, K likeliest classes (five,
or as many as there are).
"""

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from alexrep import manifest
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, ManifestError, mismatch
from alexrep.ilsvrc import classes
from alexrep.runs.folder import IMPORT

Triple = tuple[float, float, float]
Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

RESULTS = [(split, views) for split in ("test", "val") for views in ("ten-crop", "centre")]
"""Splits and views of results, the one to show first."""


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


@dataclass(frozen=True)
class Predictions:
    """The scored images of one split and the ones that eval kept for the sheet."""

    path: Path
    """The file they stand in."""
    split: str
    """`test` or `val`."""
    views: str
    """`ten-crop` or `centre`."""
    labels: NDArray[np.int64]
    """Class index, (N,); -1 where it is unknown."""
    top: NDArray[np.int64]
    """Class indices, likeliest first, (N, K)."""
    probabilities: NDArray[np.float32]
    """Their probabilities, (N, K)."""
    sheet_images: NDArray[np.uint8]
    """RGB images, (M, side, side, 3)."""
    sheet_rows: NDArray[np.int64]
    """Row of each sheet image, (M,)."""


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
    return need(path, what, advice)


def read_recipe(run: Path) -> Recipe:
    """Read the recipe of a run.

    Raises:
        NothingToShow: If there is none.
    """
    return recipes.read(need(run / "recipe.toml", "the recipe of a run", "run alexrep train first"))


def read_classes(run: Path) -> list[str]:
    """Read the first name of each class, in the order of their indices.

    Raises:
        DataError: If the class table is missing or damaged.
    """
    path = need(run / "classes.json", "a class table", "run alexrep train first")
    return classes.read(path).short_names()


def read_colour_axes(run: Path) -> ColourAxes:
    """Read the colour axes.

    Raises:
        DataError: If they are missing or damaged.
    """
    path = need_training(run / "pca.json", "colour axes", "run alexrep pca, then alexrep train")
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
    path = need(run / "mean.npy", "a mean image", "run alexrep mean, then alexrep train")
    try:
        with path.open("rb") as stream:
            mean: NDArray[np.float32] = np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise DataError(_damaged(path, "an array", error)) from None
    if mean.ndim != 3 or mean.shape[2] != 3 or not np.isfinite(mean).all():
        found = f"{mean.shape}, finite: {bool(np.isfinite(mean).all())}"
        raise DataError(_damaged(path, "(side, side, 3) finite grey levels", found))
    return mean


def read_predictions(run: Path) -> Predictions:
    """Read the results to show: test before val, ten-crop before centre.

    Raises:
        NothingToShow: If there are none.
        DataError: If they are damaged.
    """
    for split, views in RESULTS:
        path = run / "results" / f"{split}-{views}.npz"
        if path.is_file():
            return _read_results(path, split, views)
    raise NothingToShow(mismatch(run / "results", "results", "none yet", "run alexrep eval"))


def _read_results(path: Path, split: str, views: str) -> Predictions:
    if not zipfile.is_zipfile(path):
        raise DataError(_damaged(path, "predictions", "no zip archive"))
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Predictions(
                path,
                split,
                views,
                arrays["labels"],
                arrays["top5"],
                arrays["probabilities"],
                arrays["sheet_images"],
                arrays["sheet_rows"],
            )
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(_damaged(path, "predictions", error)) from None


def _damaged(path: Path, what: str, found: object) -> str:
    return mismatch(path, what, found, "make the file again")
