"""What becomes a run of weights from elsewhere, whatever their form: gathered, and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexrep import files
from alexrep.config import fitted, overrides, recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, mismatch, suggestion
from alexrep.feed.constants import constants
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.models import registry, torchvision
from alexrep.models.without_values import WithoutValues
from alexrep.runs import checkpoint
from alexrep.runs.folder import IMPORT, RunFolder
from alexrep.runs.trained import MADE_FOR
from alexrep.shards import layout
from alexrep.weights import caffe, caffe_layers, fit, imported, ours, outputs, state_dicts
from alexrep.weights import torchvision as offers
from alexrep.weights.imported import Imported

NO_TRAINING = {"epochs": 1, "changes": [{"epoch": 0, "weights": 0.01, "biases": 0.01}]}
"""A schedule, which every recipe has, for weights that were trained elsewhere."""


@dataclass(frozen=True)
class Asked:
    """What is to be imported, as the options say it."""

    source: str
    """A file, an exported folder, or the name of weights that torchvision offers."""
    data: Path
    """A packed data folder."""
    recipe: str | None = None
    """A recipe, for a file that does not say what its network is."""
    arch: str | None = None
    """Or a recipe's name or a network of torchvision."""
    file: Path | None = None
    """The file of what torchvision offers, if it is not in the cache."""
    mean: str | None = None
    """As in `caffe.survey`."""
    labels: Path | None = None
    """One wnid a line, in the order of the network's outputs; None if they are sorted."""
    allow_missing: bool = False
    """As in `caffe.survey`."""
    settings: tuple[str, ...] = ()
    """Fields of the recipe that differ, as path=value."""


def survey(asked: Asked) -> Imported:
    """Gather what makes the run.

    Raises:
        ManifestError: If pack, or a mean that is needed, has not finished.
        DataError: If a file is not what it should be.
        ConfigError: If the weights are of another network than is named, or none is named where
            the file does not say it; if the patch is larger than the images.
    """
    path = Path(asked.source)
    _refuse_idle(asked)
    if path.suffix in caffe_layers.SUFFIXES and not asked.source.startswith(offers.PREFIX):
        rest = (asked.mean, asked.labels, asked.allow_missing, asked.settings)
        return caffe.survey(path, asked.data, *rest)
    if ours.is_ours(path):
        return ours.survey(path, asked.data)
    if asked.source.startswith(offers.PREFIX):
        return _of_torchvision(asked)
    state = state_dicts.read(path)
    said = f"weights of {path.name}, sha256 {files.sha256_file(path)[:12]}"
    if asked.recipe is not None:
        return _of_state(state, recipes.load(asked.recipe, asked.settings), said, asked)
    if asked.arch is None:
        wanted, advice = "the network of the weights", "name it with --arch or --recipe"
        raise ConfigError(mismatch(path, wanted, "none", advice))
    if asked.arch not in torchvision.names():
        name = _recipe_named(asked.arch)
        return _of_state(state, recipes.load(name, asked.settings), said, asked)
    usual = offers.offered(f"{offers.PREFIX}{asked.arch}").preparation
    remark = f"images are taken to be prepared as torchvision's {asked.arch} has them"
    return _of_state(state, _recipe(asked, asked.arch, usual), said, asked, usual.show(), (remark,))


def _recipe_named(arch: str) -> str:
    """Return the recipe that a network's name means."""
    name = fitted.SHORT_NAMES.get(arch, arch)
    if name not in (known := recipes.names()):
        advice = suggestion(arch, [*torchvision.names(), *known], 0.5) or "see alexrep models"
        wanted = "a network of torchvision or a recipe"
        raise ConfigError(mismatch("--arch", wanted, repr(arch), advice))
    return name


def _refuse_idle(asked: Asked) -> None:
    """Refuse options that would decide nothing."""
    is_offered, path = asked.source.startswith(offers.PREFIX), Path(asked.source)
    is_own = ours.is_ours(path) and (path.is_file() or RunFolder(path).is_exported)
    is_known = is_offered or path.suffix in caffe_layers.SUFFIXES or is_own
    advice = "leave it out"
    for option, value in ("--recipe", asked.recipe), ("--arch", asked.arch):
        if value is not None and is_known:
            wanted, found = "a file that does not say its network", f"{asked.source}, which says it"
            raise ConfigError(mismatch(option, wanted, found, advice))
    if asked.recipe is not None and asked.arch is not None:
        raise ConfigError(mismatch("--recipe", "no --arch beside it", asked.arch, "leave one out"))
    if asked.file is not None and not is_offered:
        wanted = f"weights of {offers.PREFIX}NAME beside it"
        raise ConfigError(mismatch("--file", wanted, asked.source, advice))


def _of_torchvision(asked: Asked) -> Imported:
    """Gather weights that torchvision offers."""
    offer = offers.offered(asked.source)
    path = offer.find(asked.file)
    state = state_dicts.read(path, offer.digest)
    said = f"{offer.name}, sha256 {files.sha256_file(path)[:12]}"
    chosen = _recipe(asked, offer.arch, offer.preparation)
    return _of_state(state, chosen, said, asked, offer.preparation.show())


def _recipe(asked: Asked, arch: str, preparation: offers.Preparation) -> Recipe:
    """Return the recipe of a network of torchvision with torchvision's own input."""
    table: dict[str, Any] = {
        "name": arch,
        "source": "",
        "noise": {"scale": 0.0, "divide": False},
        "schedule": NO_TRAINING,
        **offers.settings(arch, preparation),
    }
    overrides.lay(asked.settings, table)
    return recipes.parse(table, asked.source)


def _of_state(
    state: Mapping[str, Tensor],
    chosen: Recipe,
    said: str,
    asked: Asked,
    preparation: str = "",
    remarks: tuple[str, ...] = (),
) -> Imported:
    """Lay a state dict into the recipe's network, and gather the rest."""
    table = _table(asked)
    if asked.labels is not None:
        state = _in_order(state, chosen, outputs.order(asked.labels, table))
    network = registry.build(chosen.model, len(table), chosen.seed)
    found = fit.compare(network.state_dict(), state, len(table))
    _require_whole(found, asked, len(table))
    fit.take(network, state, found, asked.source)
    packed, side = caffe.packed(asked.data, chosen.model)
    image = np.zeros((side, side, 3), np.float32)
    if needs_mean := "mean" in chosen.statistics:
        image = caffe.mean_image(asked.mean, asked.data, packed, side)
    if asked.labels is None:
        remarks += (f"outputs are the {len(table):,} classes in the order of their wnids",)
    if preparation:
        said += f"{MADE_FOR}{preparation}"
    update = {"source": said, "command": f"alexrep {IMPORT}", "expected": "", "time": ""}
    chosen = chosen.model_copy(update=update)
    return Imported(
        plan=imported.plan(chosen, checkpoint.weights_digest(network.state_dict()), table),
        recipe=chosen,
        network=network,
        table=table,
        constants=constants(chosen.input, image, None),
        geometry=str(packed.details["geometry"]),
        mean=image if needs_mean else None,
        preparation=preparation,
        remarks=remarks,
    )


def _table(asked: Asked) -> ClassTable:
    """Return the data's classes, or those of the labels if these are others."""
    own = classes.read(asked.data / "shards" / layout.CLASSES)
    if asked.labels is None:
        return own
    named = outputs.table_of(asked.labels)
    return own if named.index_of_wnid == own.index_of_wnid else named


def _in_order(state: Mapping[str, Tensor], chosen: Recipe, order: list[int]) -> dict[str, Tensor]:
    """Return the weights with the outputs of all heads in the order of the classes."""
    with WithoutValues():  # with one class more, the heads are what differs
        wider = registry.build(chosen.model, len(order) + 1, chosen.seed)
    heads = fit.compare(wider.state_dict(), state, len(order) + 1).heads
    rows = torch.tensor(order)
    return {
        name: tensor[rows] if name.rpartition(".")[0] in heads else tensor
        for name, tensor in state.items()
    }


def _require_whole(found: fit.Fit, asked: Asked, num_classes: int) -> None:
    """Refuse weights of another network, or of another number of classes."""
    texts = [*found.differences, *(f"{text} with no place" for text in found.unknown)]
    if texts:
        raise fit.refusal(asked.source, texts, "name its own network with --arch or --recipe")
    if found.heads:
        wanted = f"outputs for the {num_classes:,} classes of {asked.labels or asked.data}"
        advice = "name its classes with --labels; alexrep train --weights gives it a new head"
        raise ConfigError(mismatch(asked.source, wanted, f"{found.num_outputs:,}", advice))
