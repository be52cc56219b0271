"""One of the towers of the 2012 network: half of the kernels and units of each layer."""

from collections.abc import Callable

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
}
"""One tower's kernels at full width, their side, the stride, and the zeros on all sides."""

UNITS = 2048
"""One tower's units in fc6, and in fc7, at full width."""

POOLS = {"3/2": (3, 2), "2/2": (2, 2)}
"""Side and stride of the pools."""


def num_kernels(name: str, width: float) -> int:
    """Return one tower's kernels in layer `name` at a fraction `width` of the paper's."""
    return max(1, round(width * CONVS[name][0]))


def num_units(width: float) -> int:
    """Return one tower's units in fc6, and in fc7, at a fraction `width` of the paper's."""
    return round(width * UNITS)


def map_sides(side: int, pool: str = "3/2") -> tuple[int, int, int, int]:
    """Return the sides of the maps of conv1 and after the pools of conv1, conv2 and conv5.

    Args:
        side: Side of the patch, in pixels; 224 gives 55, 27, 13, 6.
        pool: Side and stride of the pools; 2/2 gives 55, 28, 14, 7.
    """
    conv1 = 1 + -(-(side - 11) // 4)
    pool1 = _pooled(conv1, pool)
    pool2 = _pooled(pool1, pool)
    return conv1, pool1, pool2, _pooled(pool2, pool)


def margin(side: int) -> int:
    """Return the zeros that conv1's last window needs beyond the patch, in pixels; 3 for 224."""
    return (map_sides(side)[0] - 1) * 4 + 11 - side


def _pooled(side: int, pool: str) -> int:
    """Return the side after a pool whose last window may hang over the edge."""
    size, stride = POOLS[pool]
    return 1 + -(-(side - size) // stride)


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

    def run(self, layer: TowerLayer, maps: Tensor) -> Tensor:
        """Run one layer on what it reads: maps (N, C, H, W) or units (N, U)."""
        out: Tensor = self[layer.name](maps)
        return out


def _make(layer: TowerLayer, model: AlexNetModel, index: int, num_read: int) -> nn.Module:
    """Make a layer that reads `num_read` maps or units."""
    number, is_inverted = int(layer.name[-1:]), model.dropout == "inverted"
    share = _share(layer, model)
    kinds: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: nn.Conv2d(num_read, share, *CONVS[layer.name][1:]),
        "fc": lambda: nn.Linear(num_read, share),
        "norm": lambda: AcrossMaps(model.norm),
        "within": WithinMap,
        # Section 3.4; the last window may hang over the edge.
        "pool": lambda: nn.MaxPool2d(*POOLS[model.pool], ceil_mode=True),
        "neuron": nn.Tanh if model.activation == "tanh" else nn.ReLU,
        "dropout": lambda: MaskDropout(number, index * share, is_inverted),
        "flatten": nn.Flatten,
    }
    return kinds[layer.kind]()


def _num_out(layer: TowerLayer, model: AlexNetModel, num: int) -> int:
    """Return the maps or units of one tower after a layer, of the `num` before it."""
    if layer.kind == "flatten":
        return num * map_sides(model.side, model.pool)[-1] ** 2
    return _share(layer, model) if layer.kind in ("conv", "fc") else num


def _share(layer: TowerLayer, model: AlexNetModel) -> int:
    """Return one tower's kernels, or units, in a layer; of a dropout, those of its fc."""
    name = f"fc{layer.name[-1]}" if layer.kind == "dropout" else layer.name
    num = num_kernels(name, model.width) if name in CONVS else num_units(model.width)
    return num * 2 if name in model.doubled else num
