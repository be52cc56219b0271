"""The network of 2012: two towers that read each other at conv3, fc6 and fc7, and fc8 on both.

Shapes: N images, S side of the patch.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexrep.errors import ConfigError, mismatch
from alexrep.models.initialise import initialise
from alexrep.models.tower import NUM_TOWERS, Tower, map_sides, margin, num_units
from alexrep.settings import Model


class AlexNet(nn.Module):
    """The two-tower network, from mean-subtracted grey levels to logits.

    At width 1, side 224 and 1,000 classes it has 60,965,224 parameters.

    Source: Krizhevsky et al. 2012, section 3; order of layers and constants of the released
    source's net 145.
    """

    def __init__(self, model: Model, num_classes: int) -> None:
        """Make the network that `model` describes, without the values of its parameters.

        Args:
            model: Side, width and the order of its layers.
            num_classes: Logits per image.
        """
        super().__init__()
        self.side = model.side
        self.margin = margin(model.side)
        self.towers = nn.ModuleList(Tower(model, index) for index in range(NUM_TOWERS))
        self.fc8 = nn.Linear(NUM_TOWERS * num_units(model.width), num_classes)

    def place(self, devices: Sequence[torch.device | str]) -> None:
        """Put tower k on `devices[k]`, and fc8 with the first tower.

        Raises:
            ValueError: If there is not one device per tower.
        """
        if len(devices) != len(self.towers):
            raise ValueError(f"devices: expected {len(self.towers)}, found {len(devices)}")
        for tower, device in zip(self.towers, devices, strict=True):
            tower.to(device)
        self.fc8.to(devices[0])

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Activations move between devices only where a layer reads both towers.

        Args:
            images: RGB patches in grey levels less the mean image, unscaled, floating point,
                (N, 3, S, S).

        Returns:
            The logits, (N, classes), on the first tower's device.

        Raises:
            ValueError: If the patches are not RGB or not of the recipe's side.
        """
        if images.shape[1:] != (3, self.side, self.side):
            expected = f"(N, 3, {self.side}, {self.side})"
            raise ValueError(f"images: expected {expected}, found {tuple(images.shape)}")
        towers = [cast(Tower, tower) for tower in self.towers]
        devices = [tower.device for tower in towers]
        # Zeros at the right and at the bottom only: 224 gives 55 x 55.
        padded = functional.pad(images, (0, self.margin, 0, self.margin))
        parts = [tower.run_conv1_to_2(padded.to(tower.device)) for tower in towers]
        wholes = _join(parts, devices)
        parts = [tower.run_conv3_to_5(maps) for tower, maps in zip(towers, wholes, strict=True)]
        wholes = _join(parts, devices)
        parts = [tower.run_fc6(maps) for tower, maps in zip(towers, wholes, strict=True)]
        wholes = _join(parts, devices)
        parts = [tower.run_fc7(units) for tower, units in zip(towers, wholes, strict=True)]
        logits: Tensor = self.fc8(_join(parts, devices[:1])[0])
        return logits


def build(model: Model, num_classes: int, seed: int) -> AlexNet:
    """Make the network with its initial values, on the CPU.

    No generator but the seed's own is used: the parameters come into being without values.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
        seed: Seed of the initial weights.

    Raises:
        ConfigError: If side or width leave a layer empty.
    """
    if map_sides(model.side)[-1] < 1:
        raise ConfigError(
            mismatch("model.side", "room for the third pool", model.side, "take 67 or more")
        )
    if num_units(model.width) < 1:
        raise ConfigError(
            mismatch("model.width", "a unit per tower or more", model.width, "take 0.01 or more")
        )
    with torch.device("meta"):
        network = AlexNet(model, num_classes)
    network.to_empty(device="cpu")
    initialise(network, model, seed)
    return network


def _join(parts: list[Tensor], devices: list[torch.device]) -> list[Tensor]:
    """Join the towers' `parts` along axis 1, once on each device, for the tower there."""
    joined: dict[torch.device, Tensor] = {}
    for device in devices:
        if device not in joined:
            joined[device] = torch.cat([part.to(device) for part in parts], dim=1)
    return [joined[device] for device in devices]
