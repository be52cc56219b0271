"""What a training run reads: shards, mean image, colour axes, checked against one another."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alexrep import files, manifest
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, DataError, ManifestError, mismatch
from alexrep.feed.normalise import Inputs, make_inputs
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
    """Mean image, (S, S, 3), grey levels."""
    axes: NDArray[np.float64]
    """Colour axes in columns, (3, 3)."""
    stds: NDArray[np.float64]
    """Standard deviations along them, (3,), grey levels."""
    digests: dict[str, str]
    """Digest of each input, for the manifest."""

    def inputs(self, recipe: Recipe) -> Inputs:
        """Return the constants of augmentation for a recipe.

        Raises:
            ConfigError: If the patch is larger than the prepared images.
        """
        if recipe.model.side > self.train.side:
            wanted = f"at most {self.train.side}, the side of the prepared images"
            found = recipe.model.side
            advice = f"prepare images of side {found} or more, or choose a recipe for smaller ones"
            raise ConfigError(mismatch("model.side", wanted, found, advice))
        noise, feed = recipe.noise, recipe.feed
        return make_inputs(
            self.mean,
            self.axes,
            self.stds,
            recipe.model.side,
            noise.scale,
            noise.divide,
            mean=feed.mean,
            channels=feed.channels,
        )

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


def open_data(data: Path, wnids: Sequence[str] = ()) -> TrainingData:
    """Open a prepared data folder.

    Args:
        data: The folder.
        wnids: Classes to train and validate on, see `subset.limited`; all if empty.

    Raises:
        ConfigError: If a class is not in the class table.
        ManifestError: If a stage has not finished, or mean or pca were made from other images.
        DataError: If a file is not what it should be.
    """
    packed = data / "shards" / manifest.NAME
    # The prepared images may be removed after packing, but must not be replaced by others.
    prepared = data / "images" / manifest.NAME
    if prepared.exists():
        manifest.read(prepared, "preprocess")
    images = manifest.read(packed, "pack").inputs["images"]
    if prepared.exists() and manifest.digest(prepared) != images:
        advice = f"remove {packed.parent} and run alexrep pack again"
        raise ManifestError(mismatch(packed, "shards of the prepared images", "others", advice))
    digests = {"shards": manifest.digest(packed)}
    for stage, name in (("mean", "mean.npy"), ("pca", "pca.json")):
        record = manifest.read(data / f"{stage}.{manifest.NAME}", stage)
        if record.inputs["images"] != images:
            advice = f"{removal(data)}, and run alexrep mean and pca again"
            wanted = "that of the packed images"
            raise ManifestError(mismatch(data / name, wanted, "another", advice))
        if not (data / name).is_file() or files.sha256_file(data / name) != record.outputs[name]:
            advice = f"remove {stage}.* and run alexrep {stage} again"
            raise DataError(mismatch(data / name, "the file of its manifest", "another", advice))
        digests[stage] = record.outputs[name]
    colours = json.loads((data / "pca.json").read_text(encoding="utf-8"))
    return TrainingData(
        folder=data,
        train=limited(open_split(data, "train"), wnids),
        val=limited(open_split(data, "val"), wnids),
        mean=np.load(data / "mean.npy"),
        axes=np.array(colours["axes"]),
        stds=np.array(colours["stds"]),
        digests=digests,
    )
