"""Weights of another network laid into one: which fit, and in what the others differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexrep.config.rates import is_named
from alexrep.errors import ConfigError, examples, mismatch

COUNTER = "num_batches_tracked"
"""Steps that batch normalisation has counted: no weight, and old files lack it."""
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Fit:
    """How a network's parameters and buffers compare with another's."""

    taken: tuple[str, ...]
    """Names of those that both have in the same shape."""
    differences: tuple[str, ...]
    """What the other lacks or has in another shape, in words."""
    heads: tuple[str, ...]
    """Layers, the last one among them, that differ in the number of classes alone; they are no
    differences."""
    num_outputs: int
    """Outputs of the other's heads; 0 if there are no such layers."""
    unknown: tuple[str, ...]
    """What the network has no place for, in words."""


def compare(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    num_classes: int,
    fresh: Sequence[str] = (),
) -> Fit:
    """Compare a network with another's weights.

    Args:
        own: The network's parameters and buffers by name.
        weights: The other's.
        num_classes: Logits of the network.
        fresh: Layers that are not compared, by full paths or last parts.
    """
    mine = {name: tuple(tensor.shape) for name, tensor in own.items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wanted = [name for name in mine if not _is_of(fresh, name)]
    heads, num_outputs = _heads(mine, theirs, wanted, num_classes)
    rest = [name for name in wanted if not _is_of(heads, name)]
    texts = [_difference(name, mine, theirs) for name in rest]
    return Fit(
        taken=tuple(name for name in rest if mine[name] == theirs.get(name)),
        differences=tuple(text for text in texts if text),
        heads=heads,
        num_outputs=num_outputs,
        unknown=tuple(f"{name} {theirs[name]}" for name in theirs if name not in mine),
    )


def take(network: nn.Module, weights: Mapping[str, Tensor], fit: Fit, where: str) -> None:
    """Put the weights that fit into the network.

    Args:
        network: The network, on the CPU.
        weights: The other network's parameters and buffers by name.
        fit: What `compare` says of the two.
        where: What the weights are, for messages.

    Raises:
        ConfigError: If one has numbers that are not finite.
    """
    own = network.state_dict()
    with torch.no_grad():
        for name in fit.taken:
            if not bool(torch.isfinite(weights[name]).all()):
                found, advice = f"others in {name}", "name other weights"
                raise ConfigError(mismatch(where, "finite numbers", found, advice))
            own[name].copy_(weights[name])


def refusal(where: str, texts: Sequence[str], advice: str) -> ConfigError:
    """Return the error that names the first differences of another network."""
    wanted = "the network's own names and shapes"
    return ConfigError(mismatch(where, wanted, examples(list(texts)), advice))


def _heads(
    own: Shapes, theirs: Shapes, names: Sequence[str], num_classes: int
) -> tuple[tuple[str, ...], int]:
    """Return the layers that differ in the number of classes alone, and the other's number."""
    odd = [name for name in names if theirs.get(name, own[name]) != own[name]]
    counts = {theirs[name][:1] for name in odd}
    are_heads = all(
        own[name][:1] == (num_classes,) and own[name][1:] == theirs[name][1:] for name in odd
    )
    layers = tuple(dict.fromkeys(_layer(name) for name in odd))
    if len(counts) != 1 or not are_heads or _layer(names[-1]) not in layers:
        return (), 0
    return layers, max(counts)[0]


def _is_of(layers: Sequence[str], name: str) -> bool:
    return any(is_named(layer, _layer(name)) for layer in layers)


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _difference(name: str, own: Shapes, theirs: Shapes) -> str:
    """Say how a parameter differs in the other network; nothing if it does not."""
    if name not in theirs:
        return "" if name.endswith(COUNTER) else f"no {name} {own[name]}"
    return "" if theirs[name] == own[name] else f"{name} {theirs[name]} for {own[name]}"
