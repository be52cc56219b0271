"""A network that Caffe trained, as a run that can be scored."""

import io
import json
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue

from alexrep import files, manifest
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.evaluation.caffe_source import STAGE, Source
from alexrep.manifest import Manifest
from alexrep.runs import checkpoint, environment
from alexrep.runs.folder import RunFolder

GEOMETRY = "squash"
"""How Caffe made the images square that its networks were trained on."""


def write(source: Source, folder: RunFolder) -> Manifest:
    """Write the run: recipe, classes, mean image, checkpoint, and at last the manifest."""
    chosen, loaded = _described(source), source.loaded
    _describe(source, chosen, folder)
    state = source.network.state_dict()
    checkpoint.save(folder.checkpoint("last"), _content(source, chosen, state))
    details: dict[str, JsonValue] = {
        "weights": checkpoint.weights_digest(state),
        "missing": list(loaded.missing),
        "unknown": list(loaded.unknown),
    }
    counts = {"parameters": sum(one.numel() for one in source.network.parameters())}
    return manifest.finish(source.plan, folder.manifest, counts, {}, details)


def _described(source: Source) -> Recipe:
    """Return the recipe with what is known of these weights in the place of its source."""
    missing = ", ".join(source.loaded.missing)
    lack = f"; initial values in {missing}" if missing else ""
    said = f"weights of {source.weights.name}, sha256 {source.digest[:12]}{lack}"
    update = {"name": "caffe-import", "source": said, "command": f"alexrep {STAGE}"}
    return source.recipe.model_copy(update=update)


def _describe(source: Source, chosen: Recipe, folder: RunFolder) -> None:
    """Write what the run is, for readers of the folder."""
    files.write_bytes(folder.recipe, recipes.dump(chosen).encode())
    files.write_json(folder.path / "environment.json", environment.describe())
    files.write_json(folder.path / "classes.json", source.table.rows())
    stream = io.BytesIO()
    np.save(stream, source.mean)
    files.write_bytes(folder.path / "mean.npy", stream.getvalue())


def _content(source: Source, chosen: Recipe, state: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of training would hold, without what only training needs."""
    return {
        "state_dict": state,
        "epoch": 0,
        "step": 0,
        "config": json.loads(chosen.model_dump_json(exclude_none=True)),
        "classes": source.table.rows(),
        "inputs": {
            "mean": torch.from_numpy(source.mean),
            "axes": np.eye(3).tolist(),
            "stds": [0.0, 0.0, 0.0],
            "side": len(source.mean),
            "geometry": GEOMETRY,
        },
    }
