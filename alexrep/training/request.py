"""What a training is asked to do: a recipe, the data, the run's folder, and what it may use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from alexrep import files
from alexrep.compute import precision
from alexrep.compute.processes import Processes
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.feed.dataset import TrainingData
from alexrep.manifest import Plan
from alexrep.models import registry
from alexrep.runs.folder import RunFolder
from alexrep.training import groups


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
    )


def require_runnable(recipe: Recipe, data: TrainingData) -> None:
    """Refuse a recipe that cannot run on this data, before anything is written.

    Raises:
        ConfigError: If the network cannot be made so, the schedule names a layer that it
            does not have, the patch is larger than the images, or a tower's device is not there.
    """
    data.inputs(recipe)
    model = registry.build(recipe.model, len(data.train.classes), recipe.seed)
    precision.require_places(model, recipe.compute)
    found = groups.parameter_groups(model, recipe.optimiser)
    groups.require_layers(recipe.schedule, groups.layers_of(found))


def copied_inputs(request: Request) -> dict[str, bytes]:
    """Return the files of a run that are copies of its inputs, by name."""
    data = request.data
    return {
        "recipe.toml": recipes.dump(request.recipe).encode(),
        "classes.json": files.to_json(data.train.classes.rows()).encode(),
        **{name: (data.folder / name).read_bytes() for name in ("mean.npy", "pca.json")},
    }
