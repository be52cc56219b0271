"""A run of weights that were trained elsewhere, as `alexrep eval` and the others read it.

Shapes: S side of the prepared images.
"""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import nn

from alexrep import files, manifest
from alexrep.config import recipes
from alexrep.config.recipe import REMARKS, Recipe
from alexrep.feed.constants import Constants
from alexrep.ilsvrc.classes import ClassTable
from alexrep.manifest import Manifest, Plan
from alexrep.runs import checkpoint, environment
from alexrep.runs.folder import IMPORT, RunFolder


@dataclass(frozen=True)
class Imported:
    """What is to become a run, checked against the data that it is to be scored on."""

    plan: Plan
    """What decides the run."""
    recipe: Recipe
    """Its network and input; its source says what the weights are."""
    network: nn.Module
    """With the weights."""
    table: ClassTable
    """The classes, in the order of the logits."""
    constants: Constants
    """What is subtracted from the images and what the rest is multiplied by."""
    geometry: str
    """How the images were made square that the network was trained on."""
    mean: NDArray[np.float32] | None = None
    """The mean image that the run keeps a copy of, RGB, (S, S, 3), grey levels; None if the input
    needs none."""
    preparation: str = ""
    """How those who offer the weights prepare an image, in words; empty if as the data is."""
    details: dict[str, JsonValue] = field(default_factory=dict)
    """What else the manifest says."""
    remarks: tuple[str, ...] = ()
    """What the user should know."""


def plan(chosen: Recipe, weights: str, table: ClassTable) -> Plan:
    """State what decides a run: its recipe, the digest of its weights, and its classes."""
    settings = {key: value for key, value in recipes.fields(chosen).items() if key not in REMARKS}
    inputs = {"weights": weights, "classes": table.digest()}
    return Plan(stage=IMPORT, settings=settings, seed=chosen.seed, inputs=inputs)


def write(source: Imported, folder: RunFolder) -> Manifest:
    """Write the run: recipe, classes, mean image, checkpoint, and at last the manifest."""
    state = source.network.state_dict()
    _describe(source, folder)
    checkpoint.save(folder.checkpoint("last"), _content(source, state))
    details = {"weights": checkpoint.weights_digest(state), **source.details}
    counts = {"parameters": sum(parameter.numel() for parameter in source.network.parameters())}
    return manifest.finish(source.plan, folder.manifest, counts, {}, details)


def array_bytes(array: NDArray[Any]) -> bytes:
    """Return the bytes of an array's .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _describe(source: Imported, folder: RunFolder) -> None:
    """Write what the run is, for readers of the folder."""
    files.write_bytes(folder.recipe, recipes.dump(source.recipe).encode())
    files.write_json(folder.path / "environment.json", environment.describe() | environment.code())
    files.write_json(folder.path / "classes.json", source.table.rows())
    if source.mean is not None:
        files.write_bytes(folder.path / "mean.npy", array_bytes(source.mean))


def _content(source: Imported, state: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of training would hold, without what only training needs."""
    own = {"preparation": source.preparation} if source.preparation else {}
    return {
        "state_dict": state,
        "epoch": 0,
        "step": 0,
        "config": json.loads(source.recipe.model_dump_json(exclude_none=True)),
        "classes": source.table.rows(),
        "inputs": {
            "mean": torch.from_numpy(source.constants.mean),
            "factors": list(source.constants.factors),
            "axes": np.eye(3).tolist(),
            "stds": [0.0, 0.0, 0.0],
            "side": len(source.constants.mean),
            "geometry": source.geometry,
            **own,
        },
    }
