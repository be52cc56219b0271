"""What becomes a run of weights that Caffe trained: gathered, and checked against the data.

Shapes: S side of the prepared images.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue
from torch import nn

from alexrep import files, manifest
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, DataError, ManifestError, mismatch
from alexrep.feed.constants import Constants, constants
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.manifest import Manifest, Plan
from alexrep.models import registry
from alexrep.runs import checkpoint, environment
from alexrep.runs.folder import IMPORT as STAGE
from alexrep.runs.folder import RunFolder
from alexrep.shards import layout
from alexrep.weights import caffe_layers, caffe_mean
from alexrep.weights.caffe_layers import Loaded
from alexrep.weights.caffemodel import Floats

RECIPE = "alexnet-caffe"
EDITION = "ilsvrc2012"
"""The edition whose classes, sorted, are the outputs of the published networks."""


@dataclass(frozen=True)
class CaffeImport:
    """What is to become a run, checked against the data that it is to be scored on."""

    weights: Path
    digest: str
    """SHA-256 of the file."""
    network: nn.Module
    """With the weights of the file."""
    loaded: Loaded
    """What the file lacked."""
    recipe: Recipe
    settings: tuple[str, ...]
    """What was laid over the shipped recipe."""
    table: ClassTable
    """The data's classes: the order of the run's logits."""
    order: list[int]
    """Output of the file's network for each class of the table."""
    mean: Floats
    """RGB, (S, S, 3), grey levels."""
    constants: Constants
    """What the recipe's input makes of it."""
    allow_missing: bool
    remarks: tuple[str, ...]
    """What the user should know."""

    @property
    def plan(self) -> Plan:
        """What decides the run."""
        stream = io.BytesIO()
        np.save(stream, self.mean)
        settings: dict[str, JsonValue] = {
            "recipe": RECIPE,
            "set": list(self.settings),
            "order of classes": files.sha256_bytes(files.to_json(self.order).encode()),
            "allow missing": self.allow_missing,
        }
        inputs = {
            "weights": self.digest,
            "mean": files.sha256_bytes(stream.getvalue()),
            "classes": self.table.digest(),
        }
        return Plan(stage=STAGE, settings=settings, seed=self.recipe.seed, inputs=inputs)


def survey(
    weights: Path,
    data: Path,
    mean: str | None,
    labels: Path | None,
    allow_missing: bool,
    settings: tuple[str, ...],
) -> CaffeImport:
    """Gather what makes the run.

    Args:
        weights: A .caffemodel, or an .npz.
        data: A packed data folder, whose classes the network knows.
        mean: A file, three numbers (blue, green, red), or none for the data's own mean image.
        labels: One wnid a line, in the order of the network's outputs; none if they are sorted.
        allow_missing: Whether layers may keep their initial values.
        settings: Fields of the recipe that differ, as path=value.

    Raises:
        ManifestError: If pack, or a mean that is asked for, has not finished.
        DataError: If a file is not what it should be, or layers lack and may not.
        ConfigError: If the patch is larger than the images, or the input cannot be made so.
    """
    chosen = recipes.load(RECIPE, settings)
    content = caffe_layers.content_of(weights)
    record = manifest.read(data / "shards" / manifest.NAME, "pack")
    side = record.details["side"]
    assert isinstance(side, int), "written as one"  # noqa: S101
    if chosen.model.side > side:
        wanted, advice = f"at most {side}, the side of the prepared images", "prepare larger ones"
        raise ConfigError(mismatch("model.side", wanted, chosen.model.side, advice))
    table = classes.read(data / "shards" / layout.CLASSES)
    order = list(range(len(table))) if labels is None else _order(labels, table)
    image = _mean(mean, data, record, side)
    own = constants(chosen.input, image, None)
    arrays = _in_order(caffe_layers.arrays_of(content, weights), order)
    network = registry.build(chosen.model, len(table), chosen.seed)
    loaded = caffe_layers.load(network, arrays, weights)
    if not allow_missing:
        caffe_layers.require_all(loaded, weights)
    remarks = _remarks(loaded, str(record.details["edition"]), labels)
    return CaffeImport(
        weights,
        files.sha256_bytes(content),
        network,
        loaded,
        chosen,
        settings,
        table,
        order,
        image,
        own,
        allow_missing,
        remarks,
    )


def _remarks(loaded: Loaded, edition: str, labels: Path | None) -> tuple[str, ...]:
    """Say what was taken on trust."""
    said = []
    if labels is None and edition != EDITION:
        said.append(f"outputs are taken for {edition}'s classes in the order of their wnids")
    if loaded.missing:
        said.append(f"missing layers, which keep initial values: {', '.join(loaded.missing)}")
    if loaded.unknown:
        said.append(f"unknown layers, which were left out: {', '.join(loaded.unknown)}")
    return tuple(said)


def _in_order(arrays: dict[str, Floats], order: list[int]) -> dict[str, Floats]:
    """Return the arrays with the last layer's outputs in the order of the classes."""
    sorted_ = dict(arrays)
    for name in ("fc8.weight", "fc8.bias"):
        shape = arrays[name].shape if name in arrays else ()
        # Caffe's old blobs have axes of 1 before the outputs'; other shapes are refused later.
        if len(order) in shape:
            sorted_[name] = arrays[name].take(order, shape.index(len(order)))
    return sorted_


def _order(labels: Path, table: ClassTable) -> list[int]:
    """Return for each class of the table the line of its wnid, from 0."""
    advice = "name a file such as synset_words.txt"
    lines = caffe_layers.content_of(labels, advice).decode("utf-8", "replace").splitlines()
    wnids = [line.split()[0] for line in lines if line.strip()]
    line_of_wnid = {wnid: number for number, wnid in enumerate(wnids)}
    if len(line_of_wnid) != len(wnids) or line_of_wnid.keys() != table.index_of_wnid.keys():
        wanted = f"the {len(table)} wnids of the data, each on a line of its own, once"
        found = (
            f"{len(wnids)} lines, {len(line_of_wnid.keys() & table.index_of_wnid.keys())} of them"
        )
        raise DataError(mismatch(labels, wanted, found, advice))
    return [line_of_wnid[wnid] for wnid in table.index_of_wnid]


def _mean(text: str | None, data: Path, packed: Manifest, side: int) -> Floats:
    if text is not None:
        numbers = caffe_mean.parse(text)
        if numbers is not None:
            return caffe_mean.even(numbers, side)
        if "," in text and not Path(text).exists():
            advice = "give blue, green, red, as 104,117,123"
            raise ConfigError(mismatch("--mean", "three numbers or a file", repr(text), advice))
        return caffe_mean.read(Path(text), side)
    record = manifest.read(data / f"mean.{manifest.NAME}", "mean")
    if record.inputs["images"] != packed.inputs["images"]:
        wanted, advice = "that of the packed images", "run alexrep mean on these images"
        raise ManifestError(mismatch(data / "mean.npy", wanted, "another", advice))
    return caffe_mean.read(data / "mean.npy", side)


GEOMETRY = "squash"
"""How Caffe made the images square that its networks were trained on."""


def write(source: CaffeImport, folder: RunFolder) -> Manifest:
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
    counts = {"parameters": sum(parameter.numel() for parameter in source.network.parameters())}
    return manifest.finish(source.plan, folder.manifest, counts, {}, details)


def _described(source: CaffeImport) -> Recipe:
    """Return the recipe with what is known of these weights in the place of its source."""
    missing = ", ".join(source.loaded.missing)
    lack = f"; initial values in {missing}" if missing else ""
    said = f"weights of {source.weights.name}, sha256 {source.digest[:12]}{lack}"
    update = {
        "name": "caffe-import",
        "source": said,
        "command": f"alexrep {STAGE}",
        "prepared_side": len(source.mean),
    }
    return source.recipe.model_copy(update=update)


def _describe(source: CaffeImport, chosen: Recipe, folder: RunFolder) -> None:
    """Write what the run is, for readers of the folder."""
    files.write_bytes(folder.recipe, recipes.dump(chosen).encode())
    files.write_json(folder.path / "environment.json", environment.describe() | environment.code())
    files.write_json(folder.path / "classes.json", source.table.rows())
    stream = io.BytesIO()
    np.save(stream, source.mean)
    files.write_bytes(folder.path / "mean.npy", stream.getvalue())


def _content(source: CaffeImport, chosen: Recipe, state: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of training would hold, without what only training needs."""
    return {
        "state_dict": state,
        "epoch": 0,
        "step": 0,
        "config": json.loads(chosen.model_dump_json(exclude_none=True)),
        "classes": source.table.rows(),
        "inputs": {
            "mean": torch.from_numpy(source.constants.mean),
            "factors": list(source.constants.factors),
            "axes": np.eye(3).tolist(),
            "stds": [0.0, 0.0, 0.0],
            "side": len(source.mean),
            "geometry": GEOMETRY,
        },
    }
