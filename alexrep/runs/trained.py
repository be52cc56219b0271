"""What a checkpoint holds, made ready for use: network, normalisation, class table, recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from alexrep.config.recipe import Recipe
from alexrep.config.recipes import parse
from alexrep.feed.normalise import Inputs, make_inputs
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.models import registry
from alexrep.shards.layout import GEOMETRY


def recipe_of(content: Mapping[str, Any], where: Path) -> Recipe:
    """Return the recipe that a checkpoint was trained by."""
    return parse(content["config"], str(where))


def classes_of(content: Mapping[str, Any], where: Path) -> ClassTable:
    """Return the class table that a checkpoint's logits refer to."""
    return classes.of_rows(content["classes"], where)


def model_of(content: Mapping[str, Any], where: Path) -> nn.Module:
    """Rebuild the trained network."""
    recipe = recipe_of(content, where)
    model = registry.build(recipe.model, len(content["classes"]), recipe.seed)
    model.load_state_dict(content["state_dict"])
    return model


def geometry_of(content: Mapping[str, Any]) -> str:
    """Return how the images that a checkpoint was trained on were made square."""
    return str(content["inputs"].get("geometry", GEOMETRY))


def inputs_of(content: Mapping[str, Any], where: Path) -> Inputs:
    """Return the normalisation that a checkpoint was trained with."""
    recipe, constants = recipe_of(content, where), content["inputs"]
    return make_inputs(
        mean_image=constants["mean"].numpy(),
        axes=np.asarray(constants["axes"]),
        stds=np.asarray(constants["stds"]),
        side=recipe.model.side,
        scale=recipe.noise.scale,
        divide=recipe.noise.divide,
        mean=recipe.feed.mean,
        channels=recipe.feed.channels,
    )
