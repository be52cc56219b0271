"""The CIFAR-10 nets behind the paper's section 3.3 and figure 1.

Shapes: N images, S side of the patch.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config.model import CifarModel
from alexrep.models.cifar.layers import NETS, CifarLayer
from alexrep.models.cifar.locally_connected import LocallyConnected2d
from alexrep.models.normalisation import normalise_across_maps, normalise_within_map

UNNAMED = ("relu", "tanh", "flat")
"""Parts whose output goes by the name of the part before them."""


class CifarNet(nn.Sequential):
    """One of the nets, from mean-subtracted grey levels to logits.

    Its parts are named: `conv1`, `pool1`, `relu1` (or `tanh1`), `norm1` and so on. Maxima are
    taken before the nonlinearity: one that rises can change places with a maximum and no value
    changes, but there are a quarter as many values left.

    Source: cuda-convnet's CIFAR-10 nets; Krizhevsky et al. 2012, section 3.3 names the errors
    of two of them, and figure 1 is of a net like the smallest.
    """

    def __init__(self, model: CifarModel, num_classes: int) -> None:
        """Make the net that `model` names, its parameters without values.

        Args:
            model: Name, side, width, activation, and whether it has its normalisations.
            num_classes: Logits per image.
        """
        super().__init__()
        self.side = model.side
        maps, side = 3, model.side
        for number, layer in enumerate(NETS[model.name], start=1):
            num_out = max(1, round(model.width * layer.maps)) if layer.maps else num_classes
            if layer.kind == "full" and side:
                self.add_module("flat", nn.Flatten())
                maps, side = maps * side**2, 0
            self.add_module(layer.name, _weights(layer.kind, maps, num_out, side))
            for name, part in _after(layer, model):
                self.add_module(f"{name}{number}", part)
                side = _pooled(side) if name == "pool" else side
            maps = num_out

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            images: RGB patches in grey levels less the mean image, unscaled, floating point,
                (N, 3, S, S).

        Returns:
            The logits, (N, classes).

        Raises:
            ValueError: If the patches are not RGB or not of the recipe's side.
        """
        out = self._checked(images)
        for part in self:
            out = part(out)
        return out

    def activations(self, images: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Compute the outputs of layers.

        A nonlinearity belongs to what comes before it: pool1 comes after it and conv1 is the
        sums themselves where the maximum is taken first, else conv2 comes after it.

        Args:
            images: As for `forward`, (N, 3, S, S).
            names: Any of the layers, pools and norms, as in conv1, pool1, norm1, local3, fc4.

        Returns:
            The activations by name, in the network's order: maps (N, C, H, W) or units (N, U).

        Raises:
            ValueError: If a name is not known, or the patches are not of the recipe's side.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            known = ", ".join(self.names)
            raise ValueError(f"names: expected any of {known}, found {unknown[0]!r}")
        out, outputs, name = self._checked(images), {}, ""
        for part, module in self.named_children():
            out = module(out)
            name = part if part in self.names else name
            if name in names and part != "flat":
                outputs[name] = out
        return outputs

    @property
    def names(self) -> list[str]:
        """Names that `activations` knows."""
        parts = [name for name, _ in self.named_children()]
        return [name for name in parts if name.rstrip("0123456789") not in UNNAMED]

    def _checked(self, images: Tensor) -> Tensor:
        if images.shape[1:] != (3, self.side, self.side):
            expected = f"(N, 3, {self.side}, {self.side})"
            raise ValueError(f"images: expected {expected}, found {tuple(images.shape)}")
        return images


class _Function(nn.Module):
    """A function of maps, as a part of a net."""

    def __init__(self, function: partial[Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, maps: Tensor) -> Tensor:
        return self.function(maps)


def build(model: CifarModel, num_classes: int, seed: int) -> CifarNet:
    """Make a net with its initial values, on the CPU.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
        seed: Seed of the initial weights.
    """
    with torch.device("meta"):
        network = CifarNet(model, num_classes)
    network.to_empty(device="cpu")
    stds = {layer.name: model.std_factor * layer.std for layer in NETS[model.name]}
    _initialise(network, stds, seed)
    return network


def pool(maps: Tensor, kind: Literal["max", "avg"]) -> Tensor:
    """Pool over 3 x 3 windows two cells apart, the last of which may hang over the edge.

    Args:
        maps: (N, C, H, W), floating point; 32, 16, 8 cells become 16, 8, 4.
        kind: The maximum, or the mean over the cells that exist.
    """
    if kind == "max":
        return functional.max_pool2d(maps, 3, 2, ceil_mode=True)
    return functional.avg_pool2d(maps, 3, 2, ceil_mode=True, count_include_pad=False)


def _weights(kind: str, maps: int, num_out: int, side: int) -> nn.Module:
    if kind == "conv":
        return nn.Conv2d(maps, num_out, 5, padding=2)
    if kind == "local":
        return LocallyConnected2d(maps, num_out, side)
    return nn.Linear(maps, num_out)


def _after(layer: CifarLayer, model: CifarModel) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts that follow a layer's weights, with their names, in order."""
    after = [kind for kind in layer.after if model.norm == "code" or kind in ("max", "avg")]
    activation = (model.activation, nn.ReLU() if model.activation == "relu" else nn.Tanh())
    parts = [_part(kind) for kind in after]
    if layer.maps:
        parts.insert(1 if after[:1] == ["max"] else 0, activation)
    yield from parts


def _part(kind: Literal["max", "avg", "across", "within"]) -> tuple[str, nn.Module]:
    if kind == "across":
        across = partial(normalise_across_maps, size=9, scale=0.001, base=1.0)
        return "norm", _Function(across)
    if kind == "within":
        within = partial(normalise_within_map, size=3, scale=5e-5, base=1.0)
        return "norm", _Function(within)
    return "pool", _Function(partial(pool, kind=kind))


def _pooled(side: int) -> int:
    """Return the side after a 3/2 pool whose last window may hang over the edge."""
    return 1 + -(-(side - 3) // 2)


@torch.no_grad()
def _initialise(network: nn.Module, stds: Mapping[str, float], seed: int) -> None:
    """Draw the weights as `initialise` does for the network of 2012; biases are 0."""
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in sorted(network.named_parameters()):
        layer, kind = name.split(".")
        drawn = torch.zeros(parameter.shape)
        if kind == "weight":
            drawn.normal_(0, stds[layer], generator=generator)
        parameter.copy_(drawn)
