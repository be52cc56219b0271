"""What a training is asked to do: a recipe, the data, the run's folder, and what it may use."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from alexrep import files
from alexrep.compute import precision
from alexrep.compute.processes import Processes
from alexrep.compute.rank import ProcessRank
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, mismatch
from alexrep.feed.dataset import FILES, TrainingData
from alexrep.manifest import Plan
from alexrep.models import count, registry
from alexrep.models.without_values import WithoutValues
from alexrep.runs.folder import RunFolder
from alexrep.shards import subset
from alexrep.training import groups, pieces, start


@dataclass(frozen=True)
class Resources:
    """What a run may use; it changes no result on one kind of device."""

    device: torch.device
    threads: int
    """Decoding threads."""
    processes: Processes = field(default_factory=Processes)
    """Those that share the work; by default this one alone."""
    say: Callable[[str], None] = lambda text: None
    """Says a line to the user."""


@dataclass(frozen=True)
class Request:
    """What is asked for: a recipe, what to train on, where to keep it, with what."""

    recipe: Recipe
    data: TrainingData
    run: Path
    """The run's folder."""
    resources: Resources
    mode: str = "auto"
    """One of resume.MODES."""

    @property
    def folder(self) -> RunFolder:
        """The run's folder and the names in it."""
        return RunFolder(self.run)

    @property
    def plan(self) -> Plan:
        """What decides the weights."""
        return make_plan(self.recipe, self.data)


def make_plan(recipe: Recipe, data: TrainingData) -> Plan:
    """State what decides the weights."""
    return Plan(
        stage="train",
        settings=recipes.fields(recipe),
        defaults=recipes.defaults(recipe),
        seed=recipe.seed,
        inputs={**data.digests, "classes": data.train.classes.digest()},
        unused=tuple(stage for stage in FILES if stage not in data.digests),
    )


def require_runnable(recipe: Recipe, data: TrainingData) -> None:
    """Refuse a recipe that cannot run on this data, before anything is written.

    Raises:
        ConfigError: If it is made for images of another side, the network cannot be made or
            computed so or gives no logits, batch normalisation would see one image only, the
            schedule names a layer that the network does not have, the patch is larger than the
            images, a tower's device is not there, or the weights to start from are of another
            network.
    """
    _require_side(recipe, data)
    if not recipe.model.gives_logits:
        advice = "without a head a network can only be looked at"
        raise ConfigError(mismatch("model.head", "true", "false", advice))
    data.inputs(recipe)
    with WithoutValues():
        model = registry.build(recipe.model, len(data.train.classes), recipe.seed)
    precision.require_places(model, recipe.compute)
    count.layers(model, recipe.model.side)
    num_processes = ProcessRank.of(os.environ).world_size
    pieces.require_enough(model, recipe, len(subset.indices(data.train)), num_processes)
    parameters = groups.parameter_groups(model, recipe.optimiser)
    groups.require_layers(recipe.schedule, groups.layers_of(parameters))
    start.prepare(model, recipe, data.weights, len(data.train.classes))


def _require_side(recipe: Recipe, data: TrainingData) -> None:
    """Refuse images of another side than the recipe is made for: patches are cut out of them."""
    made_for, side = recipe.prepared_side, data.train.side
    if made_for not in (None, side):
        where = f"{data.folder}: images for recipe {recipe.name}"
        advice = f"prepare a folder with alexrep preprocess --side {made_for}"
        if recipe.model.side <= side:
            advice += f", or train on these all the same with --set prepared_side={side}"
        raise ConfigError(mismatch(where, f"side {made_for}", side, advice))


def copied_inputs(request: Request) -> dict[str, bytes]:
    """Return the files of a run that are copies of its inputs, by name."""
    data = request.data
    return {
        "recipe.toml": recipes.dump(request.recipe).encode(),
        "classes.json": files.to_json(data.train.classes.rows()).encode(),
        **{
            name: files.read_bytes(data.folder / name)
            for stage, name in FILES.items()
            if stage in data.digests
        },
    }
