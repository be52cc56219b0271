"""Parameters and multiply-adds of a network, counted by layer without computing anything."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from alexrep.models.local import LocallyConnected2d

COUNTED = (nn.Conv2d, nn.Linear, LocallyConnected2d)
"""The layers that have weights."""


@dataclass
class Cost:
    """What a layer, or a whole network, holds and does."""

    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    """For one image."""

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases

    def add(self, other: "Cost") -> None:
        """Add the counts of `other`."""
        self.weights += other.weights
        self.biases += other.biases
        self.multiply_adds += other.multiply_adds


def count(network: nn.Module, side: int) -> dict[str, Cost]:
    """Count the convolutions, the locally and the fully connected layers of `network`.

    One image without values goes through parameters without values: it takes milliseconds and
    no memory, at any size and on any device.

    Args:
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.

    Returns:
        The cost by layer in order of its first use, under the last part of the module's name,
        so that the shares of two towers are added up.
    """
    costs: dict[str, Cost] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, COUNTED):
            cost = costs.setdefault(name.rsplit(".", 1)[-1], Cost())
            hooks.append(module.register_forward_hook(_Counter(cost)))
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        _run_without_values(network, side)
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in hooks:
            hook.remove()
    return costs


def total(costs: dict[str, Cost]) -> Cost:
    """Add up the costs of all layers."""
    everything = Cost()
    for cost in costs.values():
        everything.add(cost)
    return everything


class _Counter:
    """A forward hook that adds a layer's counts to `cost`."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost

    def __call__(
        self,
        module: nn.Conv2d | nn.Linear | LocallyConnected2d,
        _inputs: tuple[Tensor, ...],
        out: Tensor,
    ) -> None:
        weights = module.weight.numel()
        biases = 0 if module.bias is None else module.bias.numel()
        # A kernel's weights are used once at each place of its map, (1, C, H, W) or (1, U);
        # those of a locally connected layer at their own place only.
        uses = 1 if isinstance(module, LocallyConnected2d) else prod(out.shape[2:])
        self.cost.add(Cost(weights, biases, weights * uses))


@torch.no_grad()
def _run_without_values(network: nn.Module, side: int) -> None:
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in state.items()}
    functional_call(network, shapes, (torch.empty(1, 3, side, side, device="meta"),))
