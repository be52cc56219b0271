"""Weights of another run that a training starts from: pre-training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from alexrep.config.rates import is_named
from alexrep.config.recipe import Recipe, Start
from alexrep.errors import ConfigError, mismatch
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.runs import checkpoint, trained
from alexrep.runs.folder import RunFolder
from alexrep.training import groups

MOST = 3
"""Differences that are named."""


def open_inputs(data: Path, recipe: Recipe) -> TrainingData:
    """Open what a recipe trains on, and the weights that it starts from.

    Args:
        data: The data folder.
        recipe: The recipe.

    Raises:
        ConfigError: If the weights are not named, or a class is not in the class table.
        ManifestError: If a stage of preparation has not finished; see `open_data`.
        DataError: If a file of the data or the checkpoint is missing or damaged.
    """
    weights = None if recipe.start is None else _read(recipe.start)
    inputs = open_data(data, recipe.limits.classes, recipe.statistics)
    if weights is None:
        return inputs
    digests = {**inputs.digests, "weights": checkpoint.weights_digest(weights)}
    return replace(inputs, weights=weights, digests=digests)


def take(network: nn.Module, start: Start, weights: Mapping[str, Tensor]) -> None:
    """Put another network's weights into a new one, but for the layers that start anew.

    Args:
        network: The network with its initial values, on the CPU.
        start: Which layers keep these.
        weights: The other network's parameters and buffers by name.

    Raises:
        ConfigError: If a layer that starts anew is not in the network, or another one is not in
            the other network, or has another shape there.
    """
    own = network.state_dict()
    layers = dict.fromkeys(name.rpartition(".")[0] for name in own)
    groups.require_named(start.fresh, layers, "start.fresh")
    taken = [name for name in own if not _is_fresh(name, start)]
    others = [_difference(name, own, weights) for name in taken]
    if any(others):
        named = [text for text in others if text]
        rest = f", and {len(named) - MOST} more" if len(named) > MOST else ""
        wanted = "the network's own names and shapes"
        advice = "take the recipe of that network, or name these layers in start.fresh"
        where = f"start.weights = {start.weights!r}"
        raise ConfigError(mismatch(where, wanted, ", ".join(named[:MOST]) + rest, advice))
    with torch.no_grad():
        for name in taken:
            own[name].copy_(weights[name])


def _read(start: Start) -> dict[str, Tensor]:
    """Read the weights of a run's last checkpoint, or of a checkpoint's file."""
    if not start.weights:
        advice = "name one with --weights"
        raise ConfigError(mismatch("start.weights", "a run or a checkpoint", "none", advice))
    path = Path(start.weights)
    if path.is_dir() and not (path / "last.pt").is_file():  # else its checkpoints themselves
        run = RunFolder(path)
        run.read_recipe()
        path = run.checkpoint("last")
    elif path.is_dir():
        path /= "last.pt"
    weights: dict[str, Tensor] = trained.load(path).content["state_dict"]
    return weights


def _is_fresh(name: str, start: Start) -> bool:
    layer = name.rpartition(".")[0]
    return any(is_named(fresh, layer) for fresh in start.fresh)


def _difference(name: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Say how a parameter differs in the other network; nothing if it does not."""
    shape = tuple(own[name].shape)
    if name not in weights:
        return f"no {name} {shape}"
    other = tuple(weights[name].shape)
    return "" if other == shape else f"{name} {other} for {shape}"
