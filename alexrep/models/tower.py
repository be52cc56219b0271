"""One of the two towers of the 2012 network: half of the kernels and units of each layer.

Shapes: N images, P side of the patch with its margin; k1..k5 kernels of one tower, u units of
one tower; s2, s5 sides of the maps after the pools of conv2 and conv5.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexrep.models.dropout import MaskDropout
from alexrep.models.normalisation import AcrossMaps, WithinMap
from alexrep.settings import Model

NUM_TOWERS = 2
KERNELS = (48, 128, 192, 192, 128)
UNITS = 2048


def num_kernels(width: float) -> tuple[int, ...]:
    """Return one tower's kernels in conv1 to conv5 at a fraction `width` of the paper's."""
    return tuple(max(1, round(width * kernels)) for kernels in KERNELS)


def num_units(width: float) -> int:
    """Return one tower's units in fc6, and in fc7, at a fraction `width` of the paper's."""
    return round(width * UNITS)


def map_sides(side: int) -> tuple[int, int, int, int]:
    """Return the sides of the maps of conv1 and after the pools of conv1, conv2 and conv5.

    Args:
        side: Side of the patch, in pixels; 224 gives 55, 27, 13, 6.
    """
    conv1 = 1 + -(-(side - 11) // 4)
    pool1 = _pooled(conv1)
    pool2 = _pooled(pool1)
    return conv1, pool1, pool2, _pooled(pool2)


def margin(side: int) -> int:
    """Return the zeros that conv1's last window needs beyond the patch, in pixels; 3 for 224."""
    return (map_sides(side)[0] - 1) * 4 + 11 - side


def _pooled(side: int) -> int:
    """Return the side after a 3/2 pool whose last window may hang over the edge."""
    return 1 + -(-(side - 3) // 2)


class Tower(nn.Module):
    """Layers conv1 to fc7 of one tower, cut where it reads the other one.

    Source: Krizhevsky et al. 2012, section 3.5 and figure 2; order of the layers as in the
    released source's net 145, or the paper's where the recipe says so.
    """

    def __init__(self, model: Model, index: int) -> None:
        """Make tower number `index` of the network that `model` describes."""
        super().__init__()
        k1, k2, k3, k4, k5 = num_kernels(model.width)
        units = num_units(model.width)
        pool5_side = map_sides(model.side)[-1]
        self.relu_first = model.conv1_order == "relu-lrn-pool"
        self.conv1 = nn.Conv2d(3, k1, 11, stride=4)
        self.conv2 = nn.Conv2d(k1, k2, 5, padding=2)
        self.conv3 = nn.Conv2d(NUM_TOWERS * k2, k3, 3, padding=1)
        self.conv4 = nn.Conv2d(k3, k4, 3, padding=1)
        self.conv5 = nn.Conv2d(k4, k5, 3, padding=1)
        self.fc6 = nn.Linear(NUM_TOWERS * k5 * pool5_side**2, units)
        self.fc7 = nn.Linear(NUM_TOWERS * units, units)
        self.norm1 = AcrossMaps()
        self.norm2 = AcrossMaps()
        self.norm2_within = WithinMap() if model.conv2_within_map else nn.Identity()
        self.dropout6 = MaskDropout(6, first_unit=index * units)
        self.dropout7 = MaskDropout(7, first_unit=index * units)

    @property
    def device(self) -> torch.device:
        """Where this tower's parameters are."""
        return self.conv1.weight.device

    def run_conv1_to_2(self, images: Tensor) -> Tensor:
        """Run conv1 and conv2 with their pools on padded images (N, 3, P, P) -> (N, k2, s2, s2)."""
        maps = self.conv1(images)
        if self.relu_first:
            maps = _pool(self.norm1(functional.relu(maps)))
        else:
            maps = functional.relu(_pool(self.norm1(maps)))
        maps = functional.relu(self.conv2(maps))
        return _pool(self.norm2_within(self.norm2(maps)))

    def run_conv3_to_5(self, maps: Tensor) -> Tensor:
        """Run conv3 to conv5 on both towers' maps (N, 2 k2, s2, s2) -> (N, k5, s5, s5)."""
        maps = functional.relu(self.conv3(maps))
        maps = functional.relu(self.conv4(maps))
        return functional.relu(_pool(self.conv5(maps)))

    def run_fc6(self, maps: Tensor) -> Tensor:
        """Run fc6 and its dropout on both towers' maps (N, 2 k5, s5, s5) -> (N, u)."""
        out: Tensor = self.dropout6(functional.relu(self.fc6(maps.flatten(1))))
        return out

    def run_fc7(self, units: Tensor) -> Tensor:
        """Run fc7 and its dropout on both towers' units (N, 2 u) -> (N, u)."""
        out: Tensor = self.dropout7(functional.relu(self.fc7(units)))
        return out


def _pool(maps: Tensor) -> Tensor:
    """Take the maximum over overlapping 3 x 3 windows, two cells apart; section 3.4."""
    return functional.max_pool2d(maps, 3, 2, ceil_mode=True)
