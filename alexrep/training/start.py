"""Weights of another network that a training starts from: pre-training."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from alexrep.config.recipe import Recipe, Start
from alexrep.errors import ConfigError, examples, mismatch
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.runs import checkpoint
from alexrep.training import frozen, groups
from alexrep.weights import fit, initial


def open_inputs(data: Path, recipe: Recipe) -> TrainingData:
    """Open what a recipe trains on, and the weights that it starts from.

    Args:
        data: The data folder.
        recipe: The recipe.

    Raises:
        ConfigError: If the weights are not named, torchvision offers none of that name, or a
            class is not in the class table.
        ManifestError: If a stage of preparation has not finished; see `open_data`.
        DataError: If a file of the data or the checkpoint is missing or damaged.
    """
    weights = None if recipe.start is None else _read(recipe)
    inputs = open_data(data, recipe.limits.classes, recipe.statistics)
    if weights is None:
        return inputs
    digests = {**inputs.digests, "weights": checkpoint.weights_digest(weights)}
    return replace(inputs, weights=weights, digests=digests)


def prepare(
    network: nn.Module, recipe: Recipe, weights: Mapping[str, Tensor] | None, num_classes: int
) -> list[str]:
    """Put another network's weights into a new one, and freeze what is not to be trained.

    Args:
        network: The network with its initial values, on the CPU.
        recipe: The recipe; `start` says which layers keep the initial values, as a last layer for
            another number of classes does, and which are frozen.
        weights: The other network's parameters and buffers by name; None if the run goes on from
            its own.
        num_classes: Logits of the network.

    Returns:
        What the user should know, a line each.

    Raises:
        ConfigError: If a layer that is named is not in the network, or another one is not in
            the other network, has another shape there, or numbers that are not finite.
    """
    if recipe.start is None:
        return []
    remarks = []
    if weights is not None:
        remarks = _take(network, recipe.start, weights, num_classes)
        remarks += filter(None, [input_remark(recipe)])
    frozen.freeze(network, recipe.start.frozen)
    return remarks


def _take(
    network: nn.Module, start: Start, weights: Mapping[str, Tensor], num_classes: int
) -> list[str]:
    own, where = network.state_dict(), f"start.weights = {start.weights!r}"
    layers = dict.fromkeys(name.rpartition(".")[0] for name in own)
    groups.require_named(start.fresh, layers, "start.fresh")
    found = fit.compare(own, weights, num_classes, start.fresh)
    if found.differences:
        advice = "take the recipe of that network, or name these layers in start.fresh"
        raise fit.refusal(where, found.differences, advice)
    fit.take(network, weights, found, where)
    return list(_remarks(found, where, num_classes))


def _remarks(found: fit.Fit, where: str, num_classes: int) -> Iterator[str]:
    if found.heads:
        classes = f"{num_classes:,} classes, not {found.num_outputs:,}"
        yield f"{where}: {', '.join(found.heads)} is drawn anew, for {classes}"
    if found.unknown:
        yield f"{where}: left out, having no place: {examples(list(found.unknown))}"


def input_remark(recipe: Recipe) -> str:
    """Say how the recipe's input differs from that of the weights; "" if it does not.

    Raises:
        DataError: If a checkpoint of ours is damaged.
    """
    name = "" if recipe.start is None else recipe.start.weights
    wanted = initial.input_of(name)
    if wanted is None or recipe.input.show() == wanted.show():
        return ""
    return f"{name} was trained on {wanted.show()}; this recipe has {recipe.input.show()}"


def _read(recipe: Recipe) -> dict[str, Tensor]:
    """Read the weights that a recipe starts from."""
    source = "" if recipe.start is None else recipe.start.weights
    if not source:
        advice = "name one with --weights"
        raise ConfigError(mismatch("start.weights", "a run or a checkpoint", "none", advice))
    return initial.read(source, recipe)
