"""What a training run reads: shards, mean image, colour axes, checked against one another."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from alexrep import files, manifest
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, DataError, ManifestError, mismatch
from alexrep.feed.constants import Constants, constants
from alexrep.feed.normalise import Inputs, make_inputs
from alexrep.manifest import Manifest
from alexrep.prepare.image_statistics import removal
from alexrep.shards.read import Split, open_split
from alexrep.shards.subset import limited


@dataclass(frozen=True)
class TrainingData:
    """Splits, statistics and digests that a run trains on."""

    folder: Path
    """The data folder."""
    train: Split
    val: Split
    mean: NDArray[np.float32]
    """Mean image, (S, S, 3), grey levels; zeros where it is not used."""
    axes: NDArray[np.float64]
    """Colour axes in columns, (3, 3)."""
    stds: NDArray[np.float64]
    """Standard deviations along them, (3,), grey levels; zeros where they are not used."""
    deviations: NDArray[np.float64]
    """Standard deviations of the channels, (3,), grey levels; zeros where they are not used."""
    digests: dict[str, str]
    """Digest of each input that is used, for the manifest."""
    details: dict[str, JsonValue]
    """What the images are: edition, side, geometry; JPEG quality, filter and resizer if pack
    recorded them, as versions before did not."""

    weights: Mapping[str, Tensor] | None = None
    """Parameters and buffers of another network that the training starts from."""

    def inputs(self, recipe: Recipe) -> Inputs:
        """Return the constants of augmentation for a recipe.

        Raises:
            ConfigError: If the patch is larger than the prepared images, or the input cannot be
                made so.
        """
        if recipe.model.side > self.train.side:
            wanted = f"at most {self.train.side}, the side of the prepared images"
            found = recipe.model.side
            advice = f"prepare images of side {found} or more, or choose a recipe for smaller ones"
            raise ConfigError(mismatch("model.side", wanted, found, advice))
        noise, feed, own = recipe.colour_noise, recipe.feed, self.constants(recipe)
        return make_inputs(
            own.mean,
            self.axes,
            self.stds,
            recipe.model.side,
            noise.scale,
            noise.divide,
            mean=feed.mean,
            channels=feed.channels,
            factors=own.factors,
        )

    def constants(self, recipe: Recipe) -> Constants:
        """Return what a recipe's input subtracts and multiplies by, as checkpoints keep it.

        Raises:
            ConfigError: If a deviation of the data set is asked for that is zero.
        """
        return constants(recipe.input, self.mean, self.deviations)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the shards."""
        self.close()

    def close(self) -> None:
        """Close the shards."""
        self.train.close()
        self.val.close()


FILES = {"mean": "mean.npy", "pca": "pca.json"}
"""The file that each stage of statistics leaves in the data folder."""


def open_data(
    data: Path, wnids: Sequence[str] = (), statistics: Collection[str] = tuple(FILES)
) -> TrainingData:
    """Open a prepared data folder.

    Args:
        data: The folder.
        wnids: Classes to train and validate on, see `subset.limited`; all if empty.
        statistics: Which of mean image ("mean") and colour axes ("pca") are used; the others
            need not be there, and are not read.

    Raises:
        ConfigError: If a class is not in the class table.
        ManifestError: If a stage has not finished, or mean or pca were made from other images.
        DataError: If a file is not what it should be.
    """
    packed = _packed(data)
    digests = {"shards": manifest.digest(data / "shards" / manifest.NAME)}
    for stage in statistics:
        digests[stage] = _statistics_digest(data, stage, packed.inputs.get("images"))
    val = limited(open_split(data, "val"), wnids)
    mean, axes, stds, deviations = _read(data, statistics, val.side)
    return TrainingData(
        folder=data,
        train=limited(open_split(data, "train"), wnids),
        val=val,
        mean=mean,
        axes=axes,
        stds=stds,
        deviations=deviations,
        digests=digests,
        details=packed.details,
    )


def side_of(data: Path) -> int:
    """Return the side of the images of a packed data folder, in pixels.

    Raises:
        ManifestError: If it is not packed.
    """
    return int(str(_packed(data).details["side"]))


def _packed(data: Path) -> Manifest:
    """Return the manifest of the shards.

    The prepared images may be removed after packing, but must not be replaced by others.
    """
    path, prepared = data / "shards" / manifest.NAME, data / "images" / manifest.NAME
    if prepared.exists():
        manifest.read(prepared, "preprocess")
    packed = manifest.read(path, "pack")
    if prepared.exists() and manifest.digest(prepared) != packed.inputs.get("images"):
        advice = f"remove {path.parent} and run alexrep pack again"
        raise ManifestError(mismatch(path, "shards of the prepared images", "others", advice))
    return packed


def _statistics_digest(data: Path, stage: str, images: str | None) -> str:
    """Return the digest of mean image or colour axes, made of `images` and unchanged."""
    record, path = manifest.read(data / f"{stage}.{manifest.NAME}", stage), data / FILES[stage]
    if record.inputs.get("images") != images:
        advice = f"{removal(data)}, and run alexrep mean and pca again"
        raise ManifestError(mismatch(path, "that of the packed images", "another", advice))
    digest = files.sha256_file(path) if path.is_file() else ""
    if digest != record.outputs.get(path.name):
        advice = f"remove {stage}.* and run alexrep {stage} again"
        raise DataError(mismatch(path, "the file of its manifest", "another", advice))
    return digest


def _read(data: Path, statistics: Collection[str], side: int) -> tuple[NDArray[Any], ...]:
    """Read mean image and colour axes, or take those that change no pixel."""
    mean, axes = np.zeros((side, side, 3), np.float32), np.eye(3)
    stds, deviations = np.zeros(3), np.zeros(3)
    if "mean" in statistics:
        with files.named(data / FILES["mean"]):
            mean = np.load(data / FILES["mean"])
    if "pca" in statistics:
        colours = json.loads(files.read_text(data / FILES["pca"]))
        axes, stds = np.array(colours["axes"]), np.array(colours["stds"])
        deviations = np.sqrt(np.diag(colours["covariance"]))
    return mean, axes, stds, deviations
