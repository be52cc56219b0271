"""A trained network from its checkpoint or its export, with all that it needs to be used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from alexrep import files
from alexrep.config.input import Colour
from alexrep.config.recipe import Recipe
from alexrep.config.recipes import parse
from alexrep.errors import DataError, mismatch
from alexrep.feed.constants import UNCHANGED
from alexrep.feed.normalise import Inputs, make_inputs
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.models import registry
from alexrep.pixels import rescale
from alexrep.prepare.image import Target
from alexrep.runs import checkpoint, exported, results
from alexrep.runs.folder import RunFolder
from alexrep.shards.layout import GEOMETRY

MADE_FOR = "; made for images with "
"""What comes before their makers' preparation in the source of weights that were imported."""
ANOTHER = "name another run or checkpoint"
"""What to do where a checkpoint cannot be used."""


@dataclass(frozen=True)
class Trained:
    """A checkpoint's content; a part that is damaged is named when it is asked for."""

    path: Path
    """The file, for messages."""
    content: Mapping[str, Any]
    """As `checkpoint.load` returns it."""
    quality: int | None = None
    """JPEG quality of the images that it was trained on; None if nothing recorded it."""
    resampling: str = rescale.FILTER
    """Filter with which they were rescaled."""

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by."""
        return parse(self._part("config"), str(self.path))

    @cached_property
    def classes(self) -> ClassTable:
        """The classes, in the order of the logits."""
        return classes.of_rows(self._part("classes"), self.path)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return int(self._part("epoch"))

    @property
    def mid_epoch_step(self) -> int | None:
        """The step, if it was saved in the middle of an epoch; None at the end of one."""
        if not self.content.get("sampler", {}).get("batch"):
            return None
        return int(self._part("step"))

    @property
    def moment(self) -> str:
        """When in the training it was saved, in words."""
        return results.moment(self.epoch, self.mid_epoch_step)

    @property
    def side(self) -> int:
        """Side of the images that it was trained on, in pixels."""
        return int(self._constant("side"))

    @property
    def geometry(self) -> str:
        """How these images were made square: "crop" or "squash"."""
        return str(self._part("inputs").get("geometry", GEOMETRY))

    @property
    def target(self) -> Target:
        """How the images that it was trained on were prepared, of the usual quality if unknown."""
        quality = self.quality or rescale.QUALITY
        return Target(self.side, self.geometry, quality, self.resampling)

    @property
    def preparation(self) -> str:
        """How those who made imported weights prepare an image; empty if nothing is known."""
        return str(self._part("inputs").get("preparation", ""))

    @cached_property
    def weights(self) -> str:
        """Digest of the weights."""
        return checkpoint.weights_digest(self._part("state_dict"))

    def untrained(self) -> nn.Module:
        """Build the network with the initial values of its seed, on the CPU, in training mode.

        A run that started from other weights, or was imported, never had these.
        """
        return registry.build(self.recipe.model, len(self._part("classes")), self.recipe.seed)

    def model(self) -> nn.Module:
        """Build the network with its weights, on the CPU, in training mode.

        Raises:
            DataError: If the weights are not those of the recipe's network.
        """
        model = self.untrained()
        own = {name: tuple(part.shape) for name, part in model.state_dict().items()}
        found = {name: tuple(part.shape) for name, part in self._part("state_dict").items()}
        if own != found:
            raise DataError(_of_another_network(self.path, own, found))
        checkpoint.lay(self._part("state_dict"), model)
        return model

    def inputs(self) -> Inputs:
        """Return the normalisation that it was trained with, on the CPU.

        Raises:
            DataError: If the mean image is missing or not finite, or a factor is not positive.
        """
        recipe, mean = self.recipe, self._constant("mean").numpy()
        if not np.isfinite(mean).all():
            raise DataError(mismatch(self.path, "a finite mean image", "others", ANOTHER))
        return make_inputs(
            mean_image=mean,
            axes=np.asarray(self._constant("axes")),
            stds=np.asarray(self._constant("stds")),
            side=recipe.model.side,
            scale=recipe.colour_noise.scale,
            divide=recipe.colour_noise.divide,
            mean=recipe.feed.mean,
            channels=recipe.feed.channels,
            factors=self.factors,
        )

    @property
    def factors(self) -> Colour:
        """What each channel is multiplied by after the mean is subtracted, RGB.

        Raises:
            DataError: If one is no positive number.
        """
        red, green, blue = map(float, self._part("inputs").get("factors", UNCHANGED))
        if not all(0 < factor < np.inf for factor in (red, green, blue)):
            raise DataError(mismatch(self.path, "positive inputs.factors", "others", ANOTHER))
        return red, green, blue

    def _part(self, name: str) -> Any:  # noqa: ANN401 (each part is of its own type)
        """Return a part of the checkpoint."""
        if name not in self.content:
            raise DataError(mismatch(self.path, f"a checkpoint with {name}", "none", ANOTHER))
        return self.content[name]

    def _constant(self, name: str) -> Any:  # noqa: ANN401 (each constant is of its own type)
        """Return one of the constants of its inputs."""
        constants = self._part("inputs")
        if name not in constants:
            wanted = f"a checkpoint with inputs.{name}"
            raise DataError(mismatch(self.path, wanted, "none", ANOTHER))
        return constants[name]


def _of_another_network(
    path: Path, own: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> str:
    """Name the first weights in which a checkpoint differs from its recipe's network."""
    name = min(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    wanted, there = (f"{name} of {shapes.get(name, 'no shape')}" for shapes in (own, found))
    return mismatch(path, f"{wanted}, as its recipe says", there, "name another checkpoint")


def open_run(run: RunFolder, which: str = "last") -> Trained:
    """Read a checkpoint of a run, and how the run's images were prepared.

    Args:
        run: The run's folder, or an exported one.
        which: "last" or "best".

    Raises:
        DataError: If the folder is not a run's, a file is missing or damaged, or the checkpoint
            is of another network than the run's recipe.
    """
    recipe, network = run.read_recipe(), load(run.checkpoint(which))
    if network.recipe.model != recipe.model:
        found = f"one of {network.recipe.name}'s"
        wanted = f"a checkpoint of the network of {run.path}'s recipe, {recipe.name}"
        raise DataError(mismatch(network.path, wanted, found, ANOTHER))
    return replace(network, **_preparation(run))


def _preparation(run: RunFolder) -> dict[str, Any]:
    """Return JPEG quality and filter that are recorded of a run's images; old runs have neither."""
    if run.is_exported:
        rule = exported.read(run.path).input
        return {"quality": rule.quality, "resampling": rule.resampling}
    try:
        recorded = run.read_data()
        quality = recorded.get("quality")
        resampling = str(recorded.get("filter") or rescale.FILTER)
        if resampling not in rescale.FILTERS:
            raise ValueError(f"filter {resampling!r}")
        return {"quality": None if quality is None else int(quality), "resampling": resampling}
    except (ValueError, TypeError, OverflowError) as error:
        advice = "remove it; alexrep train writes it again when the run goes on"
        raise DataError(mismatch(run.data, "what the images are", error, advice)) from None


def load(path: Path) -> Trained:
    """Read a checkpoint, or the weights of an exported folder with what lies beside them.

    Args:
        path: The file, as `RunFolder.checkpoint` names it.

    Raises:
        DataError: If it is missing or damaged; of an exported folder, if a byte has changed.
    """
    is_exported = path.name == exported.WEIGHTS
    return Trained(path, _exported(path.parent) if is_exported else checkpoint.load(path))


def _exported(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint would hold, without what only training needs."""
    config = exported.read(folder)
    exported.verify(folder, config)
    try:
        state = load_file(folder / exported.WEIGHTS)
        with files.named(folder / exported.MEAN):
            mean = np.load(folder / exported.MEAN, allow_pickle=False)
    except (SafetensorError, ValueError) as error:
        wanted, advice = "weights and a mean image", "copy or export it again"
        raise DataError(mismatch(folder, wanted, error, advice)) from None
    return {
        "state_dict": state,
        "epoch": config.epoch,
        "step": config.mid_epoch_step,
        "sampler": {"batch": config.mid_epoch_step is not None},
        "config": dict(config.recipe),
        "classes": config.classes,
        "inputs": {
            "mean": torch.from_numpy(mean),
            "axes": np.eye(3).tolist(),
            "stds": [0.0, 0.0, 0.0],
            "factors": config.input.factors,
            "side": config.input.prepared_side,
            "geometry": config.input.geometry,
            "preparation": str(config.recipe.get("source", "")).partition(MADE_FOR)[2],
        },
    }
