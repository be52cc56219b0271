"""One of the towers of the 2012 network: half of the kernels and units of each layer."""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from alexrep.config.model import AlexNetModel
from alexrep.models.alexnet.layers import TowerLayer, layers
from alexrep.models.dropout import MaskDropout
from alexrep.models.normalisation import AcrossMaps, WithinMap

CONVS = {
    "conv1": (48, 11, 4, 0),
    "conv2": (128, 5, 1, 2),
    "conv3": (192, 3, 1, 1),
    "conv4": (192, 3, 1, 1),
    "conv5": (128, 3, 1, 1),
    "conv6": (128, 3, 1, 1),
}
"""One tower's kernels at full width, their side, the stride, and the zeros on all sides."""

UNITS = 2048
"""One tower's units in fc6, and in fc7, at full width."""

POOLS = {"3/2": (3, 2), "2/2": (2, 2)}
"""Side and stride of the pools."""


def num_kernels(name: str, model: AlexNetModel) -> int:
    """Return one tower's kernels in a convolution, before any doubling."""
    own = cast("Mapping[str, int]", model.kernels)
    return max(1, round(model.width * own.get(name, CONVS[name][0])))


def num_units(width: float) -> int:
    """Return one tower's units in fc6, and in fc7, at a fraction `width` of the paper's."""
    return round(width * UNITS)


def map_sides(model: AlexNetModel) -> dict[str, int]:
    """Return the side of the maps after each convolution and pool; under 1 where none is left.

    A patch of 224 gives 55, after the pools 27, 13 and 6.
    """
    side, sides = model.side, {}
    for layer in layers(model):
        if layer.kind in ("conv", "pool"):
            side = _next_side(layer, model, side)
            sides[layer.name] = side
    return sides


def margin(model: AlexNetModel) -> int:
    """Return the zeros that conv1's last window needs beyond the patch, in pixels; 3 for 224."""
    size, stride = model.conv1
    return (_places(model.side, size, stride) - 1) * stride + size - model.side


def _next_side(layer: TowerLayer, model: AlexNetModel, side: int) -> int:
    if layer.kind == "pool":
        return _places(side, *POOLS[model.pool])
    size, stride, padding = _window(layer.name, model)
    return _places(side + 2 * padding, size, stride)


def _places(side: int, size: int, stride: int) -> int:
    """Return the windows of `size` along `side`; the last may hang over the edge."""
    return 1 + -(-(side - size) // stride)


def _window(name: str, model: AlexNetModel) -> tuple[int, int, int]:
    """Return the side of a convolution's kernels, its stride, and the zeros on all sides."""
    _, size, stride, padding = CONVS[name]
    if name == "conv1":
        size, stride = model.conv1
    own = cast("Mapping[str, int]", model.padding)
    return size, stride, own.get(name, padding)


WHOLE = slice(None)


class Tower(nn.ModuleDict):
    """The layers of one tower by name, in order."""

    def __init__(self, model: AlexNetModel, index: int) -> None:
        """Make tower number `index` of the network that `model` describes."""
        super().__init__()
        num = 3
        for layer in layers(model):
            num_read = num * (model.num_towers if layer.reads == "both" else 1)
            self[layer.name] = _make(layer, model, index, num_read)
            num = _num_out(layer, model, num)
        self.num_out = num
        """Units, or values, that one tower hands to fc8."""

    @property
    def device(self) -> torch.device:
        """Where this tower's parameters are."""
        return next(self.parameters()).device

    def run(self, layer: TowerLayer, maps: Tensor, own: slice = WHOLE) -> Tensor:
        """Run one layer on what it reads: maps (N, C, H, W) or units (N, U).

        Args:
            layer: The layer.
            maps: What it reads.
            own: Which of the maps a normalisation is to return, if others lie beside them.
        """
        beside = () if own == WHOLE else (own,)
        out: Tensor = self[layer.name](maps, *beside)
        return out


def _make(layer: TowerLayer, model: AlexNetModel, index: int, num_read: int) -> nn.Module:
    """Make a layer that reads `num_read` maps or units."""
    number, is_inverted = int(layer.name[-1:]), model.dropout == "inverted"
    share = _share(layer, model)
    kinds: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: nn.Conv2d(num_read, share, *_window(layer.name, model)),
        "fc": lambda: nn.Linear(num_read, share),
        "norm": lambda: AcrossMaps(model.norm),
        "within": WithinMap,
        # Section 3.4; the last window may hang over the edge.
        "pool": lambda: nn.MaxPool2d(*POOLS[model.pool], ceil_mode=True),
        "neuron": nn.Tanh if model.activation == "tanh" else nn.ReLU,
        "dropout": lambda: MaskDropout(number, index * share, is_inverted, model.dropout_rate),
        "flatten": nn.Flatten,
    }
    return kinds[layer.kind]()


def _num_out(layer: TowerLayer, model: AlexNetModel, num: int) -> int:
    """Return the maps or units of one tower after a layer, of the `num` before it."""
    if layer.kind == "flatten":
        return num * list(map_sides(model).values())[-1] ** 2
    return _share(layer, model) if layer.kind in ("conv", "fc") else num


def _share(layer: TowerLayer, model: AlexNetModel) -> int:
    """Return one tower's kernels, or units, in a layer; of a dropout, those of its fc."""
    name = layer.name.removeprefix("dropout_")
    num = num_kernels(name, model) if name in CONVS else num_units(model.width)
    return num * 2 if name in model.doubled else num
