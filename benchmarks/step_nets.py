"""The networks whose steps are compared, and the operations of a step."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config.model import AlexNetModel
from alexrep.models import count, registry
from alexrep.models.alexnet.tower import map_sides, margin, num_kernels, num_units

NUM_CLASSES = 1000


class TowerByTower(nn.Module):
    """torch's local response normalisation, for each tower by itself."""

    def __init__(self) -> None:
        """Use the constants of the released source."""
        super().__init__()
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2)

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise `maps` (N, C, H, W)."""
        return torch.cat([self.norm(half) for half in maps.chunk(2, 1)], 1)


class Within(nn.Module):
    """The normalisation within maps, by torch's functions."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise `maps` (N, C, H, W)."""
        mean_square = functional.avg_pool2d(maps * maps, 5, 1, 2)
        normalised: Tensor = maps * (1 + 0.001 * mean_square) ** -0.75
        return normalised


def naive(side: int, width: float) -> nn.Sequential:
    """Return net 145 made of torch's layers: grouped convolutions and `nn.LocalResponseNorm`."""
    model = AlexNetModel(side=side, width=width)
    one, two, three, four, five = (2 * num_kernels(f"conv{k}", model) for k in range(1, 6))
    units, edge = 2 * num_units(width), margin(model)
    values = five * map_sides(model)["pool5"] ** 2
    return nn.Sequential(
        *(nn.ZeroPad2d((0, edge, 0, edge)), nn.Conv2d(3, one, 11, 4)),
        *(TowerByTower(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()),
        *(nn.Conv2d(one, two, 5, 1, 2, groups=2), nn.ReLU()),
        *(TowerByTower(), Within(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(nn.Conv2d(two, three, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(three, four, 3, 1, 1, groups=2), nn.ReLU()),
        *(nn.Conv2d(four, five, 3, 1, 1, groups=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()),
        *(
            nn.Flatten(),
            nn.Linear(values, units),
            nn.ReLU(),
            nn.Dropout(),
        ),
        *(nn.Linear(units, units), nn.ReLU(), nn.Dropout(), nn.Linear(units, NUM_CLASSES)),
    )


def all_of_them(side: int, width: float) -> dict[str, Callable[[], nn.Module]]:
    """Return a builder of each network; torchvision's always has full width."""
    model = AlexNetModel(side=side, width=width)
    return {
        "alexrep, joined": lambda: registry.build(model, NUM_CLASSES, 1, form="joined"),
        "alexrep, towers": lambda: registry.build(model, NUM_CLASSES, 1, form="towers"),
        "torchvision": lambda: torchvision.models.alexnet(weights=None, num_classes=NUM_CLASSES),
        "naive": lambda: naive(side, width),
    }


def operations(network: nn.Module, side: int) -> int:
    """Return the floating-point operations of a step for one image.

    Two per multiply-add, forward and for both gradients; there is no gradient of the images.
    """
    each = [row.cost.multiply_adds for row in count.layers(network, side) if row.cost.parameters]
    return 6 * sum(each) - 2 * each[0]
