"""Both towers of the 2012 network computed at once on one device: the same numbers, sooner."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexrep.models.alexnet.layers import TowerLayer
from alexrep.models.alexnet.tower import WHOLE, Tower


class Joined:
    """Towers that share a device, as one column of layers that holds the maps of all.

    It has no parameters of its own: those of the towers are joined at each use, and gradients
    go back to them. What a tower reads of its own is a group of the joined convolution.
    """

    def __init__(self, towers: Sequence[Tower]) -> None:
        """Join `towers`, in their order."""
        self.towers = towers

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.towers[0].device

    def run(self, layer: TowerLayer, maps: Tensor, own: slice = WHOLE) -> Tensor:  # noqa: ARG002
        """Run one layer on the joined maps (N, C, H, W) or units (N, U) of all towers."""
        modules = [tower[layer.name] for tower in self.towers]
        first = modules[0]
        if isinstance(first, nn.Conv2d):
            weight, bias = _join(modules)
            groups = maps.shape[1] // weight.shape[1]
            return functional.conv2d(maps, weight, bias, first.stride, first.padding, groups=groups)
        if isinstance(first, nn.Linear) and maps.shape[1] == first.in_features:
            return functional.linear(maps, *_join(modules))
        if isinstance(first, nn.Linear):  # each tower reads its own units
            parts = maps.chunk(len(modules), dim=1)
            return torch.cat([fc(part) for fc, part in zip(modules, parts, strict=True)], dim=1)
        if layer.kind == "norm" and layer.reads == "own":
            apart: Tensor = first(maps.unflatten(1, (len(self.towers), -1)))
            return apart.flatten(1, 2)
        # The first tower's dropout counts its units from the layer's first one.
        out: Tensor = first(maps)
        return out


def _join(modules: Sequence[nn.Module]) -> tuple[Tensor, Tensor]:
    """Join the weights and the biases of the towers' shares of a layer."""
    weights = tuple(module.get_parameter("weight") for module in modules)
    biases = tuple(module.get_parameter("bias") for module in modules)
    return torch.cat(weights), torch.cat(biases)
