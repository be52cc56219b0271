"""The results of a run: their format, and its only writer and reader.

`RUN/results/NAME.json` has the errors and `NAME.npz` the predictions that they were counted
from; `RunFolder.result` makes the name. Nothing is locked: the arrays are written first, then
the errors with the arrays' digest, so that a reader notices a pair that does not belong
together.

Shapes: N images scored, M of them kept for the sheet, K classes, T = min(5, K).
"""

import io
import zipfile
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.shards.layout import GEOMETRY

VERSION = 4
"""4 since a result may be of original images; 3 since it has intervals and calibration, and may be
of images without labels; 2 since it names its version and the digest of its predictions; 1 had
neither."""


@dataclass(frozen=True)
class Result:
    """The errors of a run on a split, as fractions."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False
    )

    split: str
    """"train", "val" or "test"."""
    views: str
    """"centre" or "ten-crop"."""
    checkpoint: str
    """"last" or "best"."""
    epoch: int
    """Finished epochs of the checkpoint."""
    num_images: int
    """Images of the split; those in quarantine are counted as errors. Of a run on some classes,
    the images of these, see `match_classes.of_classes`."""
    num_quarantined: int
    loss: float | None
    """Mean negative log likelihood of the labels, over the images that could be scored; None
    where none is known."""
    top1_error: float | None
    """None where no label is known."""
    top5_error: float | None
    weights: str
    """Digest of the weights; of an ensemble, of the digests of its networks' weights."""
    shards: str
    """Digest of the shards' manifest; of original images, of their archives' indices and labels."""
    geometry: str = GEOMETRY
    """How the scored images were made square: "crop" or "squash"."""
    trained_geometry: str = GEOMETRY
    """How those were that the network was trained on."""
    prepared_otherwise: str = ""
    """How those who made imported weights prepare an image, and how these images were instead;
    empty if nothing is known, or they were prepared as theirs are."""
    original: str = ""
    """How the original images were prepared while they were scored; empty if prepared data was."""
    labels: str = ""
    """Name of the labels, if they are not the data's own."""
    labels_digest: str = ""
    """SHA-256 of their file."""
    all_probabilities: bool = False
    """Whether the predictions have the probabilities of all classes."""
    average: str = "probabilities"
    """What was averaged over the views: "probabilities" or "logits"."""
    wnids: tuple[str, ...] = ()
    """The classes that competed, if not all of the run's: those that its data has too."""
    members: tuple[str, ...] = ()
    """Of an ensemble: the folders of the runs whose probabilities were averaged."""
    mixture: tuple[float, ...] = ()
    """Weight of each of them, summing to one."""
    fitted_on: str = ""
    """Split on which these weights were searched; empty if they were given."""
    num_unlabelled: int = 0
    """Images whose label is unknown: they have predictions and count in no score."""
    top1_interval: tuple[float, float] | None = None
    """Ends of the 95 % interval of the top-1 error, by bootstrap over the images, those in
    quarantine among them; see `evaluation.intervals`. None in versions before 3."""
    top5_interval: tuple[float, float] | None = None
    """The same of the top-5 error."""
    draws: int = 0
    """Resamples of the bootstrap."""
    ece: float | None = None
    """Expected calibration error, 15 bins of equal width; see `evaluation.calibration`."""
    mid_epoch_step: int | None = None
    """Step of the checkpoint if it was saved in the middle of an epoch; None at the end of one."""
    predictions: str = ""
    """SHA-256 of the file of predictions; empty in version 1, and where they were not kept."""
    version: Annotated[int, Field(ge=1, le=VERSION)] = 1
    """Version of the format."""

    @property
    def nll(self) -> float | None:
        """Mean negative log likelihood, which is the loss; None where no label is known."""
        return self.loss

    @property
    def moment(self) -> str:
        """When in the training the checkpoint was saved, in words."""
        return moment(self.epoch, self.mid_epoch_step)


def moment(epoch: int, mid_epoch_step: int | None) -> str:
    """Say when in a training a checkpoint was saved.

    Args:
        epoch: Finished epochs.
        mid_epoch_step: The step, if the next epoch had begun.
    """
    if mid_epoch_step is None:
        return f"epoch {epoch}"
    return f"step {mid_epoch_step:,}, in the middle of epoch {epoch + 1}"


@dataclass(frozen=True)
class Predictions:
    """The scored images in the order of the shards; each field is an array of the file."""

    names: NDArray[np.bytes_]
    """Name of each image, (N,)."""
    labels: NDArray[np.int64]
    """Class index, (N,); -1 where it is unknown."""
    top5: NDArray[np.int64]
    """Class indices, likeliest first, (N, T)."""
    probabilities: NDArray[np.float32]
    """Their probabilities, (N, T)."""
    sheet_images: NDArray[np.uint8]
    """RGB images for the picture, (M, side, side, 3)."""
    sheet_rows: NDArray[np.int64]
    """Row of each of these among the scored images, (M,)."""
    label_probabilities: NDArray[np.float32]
    """Probability of each image's label, (N,); NaN where the label or, in versions before 3, its
    probability is unknown."""
    credit: NDArray[np.float64]
    """Credits of each image for top-1 and top-5, shared where labels tie, (N, 2); NaN where the
    label is unknown."""
    all_probabilities: NDArray[np.float16] | None = None
    """Probabilities of every class, (N, K), if they were asked for; under 3e-8 they are 0."""


@dataclass(frozen=True)
class Scored:
    """A result and the predictions that it was counted from."""

    path: Path
    """The file of the result; that of the predictions has the same name with .npz."""
    result: Result
    predictions: Predictions


def keep(scored: Scored) -> Result:
    """Write a result and its predictions, in the place of those that are there.

    Returns:
        The result with the digest of its predictions.

    Raises:
        OSError: If the folder cannot be written to.
    """
    stream = io.BytesIO()
    arrays = {name: array for name, array in vars(scored.predictions).items() if array is not None}
    np.savez(stream, **arrays)
    content = stream.getbuffer()
    result = replace(scored.result, predictions=files.sha256_bytes(content), version=VERSION)
    files.sweep_ours(scored.path.parent)
    files.write_bytes(scored.path.with_suffix(".npz"), content)
    files.write_json(scored.path, asdict(result))
    return result


def read(path: Path) -> Result:
    """Read a result, of this version of the format or an older one.

    Raises:
        DataError: If it is missing, damaged, or of a later version.
    """
    try:
        return TypeAdapter(Result).validate_json(files.read_bytes(path))
    except FileNotFoundError:
        raise DataError(mismatch(path, "a result", "none", "run alexrep eval")) from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the text"
        found = f"a fault at {where} ({fault['msg']})"
        advice = "use the alexrep that wrote it, or remove it and run alexrep eval again"
        raise DataError(mismatch(path, "a result", found, advice)) from None


def read_all(run: Path) -> dict[str, Result]:
    """Read every result of a run, by the names of their files, as in `val-ten-crop`.

    Raises:
        DataError: If one is damaged.
    """
    return {path.stem: read(path) for path in sorted((run / "results").glob("*.json"))}


def read_scored(path: Path) -> Scored:
    """Read a result and its predictions.

    Args:
        path: The file of the result.

    Raises:
        DataError: If one of the two is missing or damaged, or they do not belong together.
    """
    result, arrays = read(path), path.with_suffix(".npz")
    advice = "run alexrep eval again"
    try:
        content = files.read_bytes(arrays)
    except FileNotFoundError:
        raise DataError(mismatch(arrays, "predictions", "none", advice)) from None
    if not _belong_together(result, content):
        wanted = f"the predictions that {path.name} was counted from"
        raise DataError(mismatch(arrays, wanted, "others", advice))
    try:
        return Scored(path, result, _unpack(content))
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(mismatch(arrays, "predictions", error, advice)) from None


def has_its_predictions(path: Path, result: Result) -> bool:
    """Tell whether the predictions of a result lie beside it."""
    arrays = path.with_suffix(".npz")
    return arrays.is_file() and _belong_together(result, files.read_bytes(arrays))


def _belong_together(result: Result, arrays: bytes) -> bool:
    return not result.predictions or result.predictions == files.sha256_bytes(arrays)


def _unpack(content: bytes) -> Predictions:
    """Read the arrays; a pickle among them is a ValueError."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError("no zip archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        names = [field.name for field in fields(Predictions)]
        arrays = {name: archive[name] for name in names if name in archive}
    if not {"label_probabilities", "credit"} <= arrays.keys():
        arrays |= from_the_likeliest(arrays["labels"], arrays["top5"], arrays["probabilities"])
    if missing := [name for name in names[:-1] if name not in arrays]:
        raise KeyError(f"no {missing[0]}")
    return Predictions(**arrays)


def from_the_likeliest(
    labels: NDArray[np.int64], top5: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Return what versions before 3 did not keep, as far as their likeliest classes say it."""
    is_label = (top5 == labels[:, None]) & (labels >= 0)[:, None]
    own = np.where(is_label.any(axis=1), (probabilities * is_label).sum(axis=1), np.nan)
    credit = np.stack([is_label[:, 0], is_label.any(axis=1)], axis=1).astype(np.float64)
    credit[labels < 0] = np.nan
    return {"label_probabilities": own.astype(np.float32), "credit": credit}
