"""Initial values of convolutions, fully connected layers and normalisations, from a seed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from alexrep.config.networks import DrawnModel, Initialisation

M = TypeVar("M", bound=DrawnModel)
Weighted = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Fans:
    """How many values a value of a layer is made of, and goes into."""

    read: int
    """Values that one output is summed from."""
    fed: float
    """Outputs that one value goes into, at a stride of 1."""

    @classmethod
    def of(cls, layer: Weighted) -> "Fans":
        """Return those of `layer`; a map of a grouped convolution feeds its own group only."""
        num_out, num_in, *window = layer.weight.shape
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        size = math.prod(window)
        return cls(num_in * size, num_out * size / groups)


Draw = Callable[[Tensor, Fans, float, torch.Generator], Tensor]


def _kaiming(weight: Tensor, fans: Fans, _: float, generator: torch.Generator) -> Tensor:
    return weight.normal_(0, math.sqrt(2 / fans.read), generator=generator)


def _xavier(weight: Tensor, fans: Fans, _: float, generator: torch.Generator) -> Tensor:
    bound = math.sqrt(6 / (fans.read + fans.fed))
    return weight.uniform_(-bound, bound, generator=generator)


def _normal(weight: Tensor, _: Fans, std: float, generator: torch.Generator) -> Tensor:
    return weight.normal_(0, std, generator=generator)


def _torch(weight: Tensor, fans: Fans, _: float, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(fans.read)
    return weight.uniform_(-bound, bound, generator=generator)


DRAWS: dict[str, Draw] = {
    "kaiming": _kaiming,
    "xavier": _xavier,
    "normal": _normal,
    "torch": _torch,
}
"""How the weights of a layer are drawn."""


@torch.no_grad()
def draw(
    network: nn.Module,
    initialisation: Initialisation,
    seed: int,
    std: float = 0.01,
    factor: float = 1.0,
) -> None:
    """Draw the weights of `network`, and set its biases and normalisations.

    The draws are made on the CPU in float32, layer by layer in the order of their names, from a
    generator of their own: the same seed gives the same bits on any device, for any number of
    threads. Biases are 0, but with `torch` drawn like the weights beside them. Normalisations
    start with scales of 1 and shifts of 0, running means of 0 and variances of 1.

    Args:
        network: Its parameters are those of convolutions, fully connected layers and
            normalisations over a batch; they need no values yet.
        initialisation: `kaiming`: Gaussian, variance 2 / n for n values summed (He et al. 2015,
            equation 10); `xavier`: uniform up to sqrt(6 / (n + m)), each value going into m
            (Glorot and Bengio 2010, equation 16); `normal`: Gaussian; `torch`: uniform up to
            1 / sqrt(n), the default of PyTorch's layers.
        seed: Seed of the generator.
        std: Standard deviation of `normal`.
        factor: Factor on all weights that are drawn.

    Raises:
        ValueError: If another kind of layer has parameters.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, layer in sorted(network.named_modules()):
        if isinstance(layer, _BatchNorm):
            layer.reset_parameters()
        elif isinstance(layer, Weighted):
            fans, drawn = Fans.of(layer), DRAWS[initialisation]
            values = drawn(torch.empty(layer.weight.shape), fans, std, generator)
            layer.weight.copy_(values * factor)
            if layer.bias is not None:
                bias = torch.zeros(layer.bias.shape)
                is_drawn = initialisation == "torch"
                layer.bias.copy_(drawn(bias, fans, std, generator) if is_drawn else bias)
        elif any(True for _ in layer.parameters(recurse=False)):
            found = f"{type(layer).__name__} {name!r}"
            raise ValueError(f"network: expected layers that are known here, found {found}")


def builder(make: Callable[[M, int], nn.Module]) -> Callable[[M, int, int], nn.Module]:
    """Return what builds a network with initial values, on the CPU, from what makes it without.

    Args:
        make: Makes the network of its settings and the number of classes; called on the meta
            device, where parameters have no values.

    Returns:
        A builder for `registry.register`, which draws by the fields of `DrawnModel`.
    """

    def build(model: M, num_classes: int, seed: int) -> nn.Module:
        with torch.device("meta"):
            network = make(model, num_classes)
        network.to_empty(device="cpu")
        draw(network, model.initialisation, seed, model.std)
        return network

    return build
