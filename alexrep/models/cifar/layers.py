"""The layers of the CIFAR-10 nets, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class CifarLayer:
    """A layer with weights, and what follows it."""

    name: str
    kind: Literal["conv", "local", "full"]
    """5 x 5 with shared kernels, 3 x 3 with kernels of each place, or fully connected."""
    maps: int
    """Maps or units; 0 in the last layer, which has one unit per class."""
    std: float
    """Standard deviation of the initial weights; biases start at 0."""
    after: tuple[Literal["max", "avg", "across", "within"], ...] = ()
    """Pools and normalisations after the nonlinearity, in their order."""


NETS: Mapping[str, tuple[CifarLayer, ...]] = MappingProxyType(
    {
        "cifar10-80sec": (
            CifarLayer("conv1", "conv", 32, 0.0001, ("max",)),
            CifarLayer("conv2", "conv", 32, 0.01, ("avg",)),
            CifarLayer("conv3", "conv", 64, 0.01, ("avg",)),
            CifarLayer("fc4", "full", 64, 0.1),
            CifarLayer("fc5", "full", 0, 0.1),
        ),
        "cifar10-18pct": (
            CifarLayer("conv1", "conv", 32, 0.0001, ("max", "within")),
            CifarLayer("conv2", "conv", 32, 0.01, ("avg", "within")),
            CifarLayer("conv3", "conv", 64, 0.01, ("avg",)),
            CifarLayer("fc4", "full", 0, 0.01),
        ),
        "cifar10-13pct": (
            CifarLayer("conv1", "conv", 64, 0.0001, ("max",)),
            CifarLayer("conv2", "conv", 64, 0.01, ("max",)),
            CifarLayer("local3", "local", 32, 0.04),
            CifarLayer("local4", "local", 32, 0.04),
            CifarLayer("fc5", "full", 0, 0.01),
        ),
        "cifar10-11pct": (
            CifarLayer("conv1", "conv", 64, 0.0001, ("max", "across")),
            CifarLayer("conv2", "conv", 64, 0.01, ("across", "max")),
            CifarLayer("local3", "local", 64, 0.04),
            CifarLayer("local4", "local", 32, 0.04),
            CifarLayer("fc5", "full", 0, 0.01),
        ),
    }
)
"""The layers of each net by name. Source: cuda-convnet's example layer files."""
