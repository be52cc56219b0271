"""The network of 2012: two towers that read each other at conv3, fc6 and fc7, and fc8 on both.

Shapes: N images, S side of the patch, T towers.
"""

from collections.abc import Collection, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config.model import AlexNetModel
from alexrep.errors import ConfigError, mismatch
from alexrep.models.alexnet.initialise import initialise
from alexrep.models.alexnet.joined import Joined
from alexrep.models.alexnet.layers import UNSEEN, TowerLayer, layers
from alexrep.models.alexnet.tower import Tower, map_sides, margin, num_units

Form = Literal["towers", "joined"]
Column = Tower | Joined

REACH = 2
"""Maps on each side that the normalisation across maps sees."""


class AlexNet(nn.Module):
    """The network of 2012, from mean-subtracted grey levels to logits.

    At width 1, side 224 and 1,000 classes it has 60,965,224 parameters.

    Source: Krizhevsky et al. 2012, section 3; order of layers and constants of the released
    source's net 145.
    """

    def __init__(self, model: AlexNetModel, num_classes: int) -> None:
        """Make the network that `model` describes, without the values of its parameters.

        Args:
            model: The network of a recipe.
            num_classes: Logits per image.
        """
        super().__init__()
        self.side = model.side
        self.margin = margin(model)
        self.layers = layers(model)
        self.form: Form = "towers"
        """Whether each tower is computed by itself, or all at once on their one device. The
        outputs are equal within rounding, the parameters and their names the same."""
        towers = [Tower(model, index) for index in range(model.num_towers)]
        self.towers = nn.ModuleList(towers)
        self.fc8 = nn.Linear(sum(tower.num_out for tower in towers), num_classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the activations, in order."""
        return (*(layer.name for layer in self.layers if layer.kind not in UNSEEN), "fc8")

    @property
    def num_towers(self) -> int:
        """Number of towers."""
        return len(self.towers)

    def place(self, devices: Sequence[torch.device | str]) -> None:
        """Put tower k on `devices[k]`, and fc8 with the first tower.

        Raises:
            ValueError: If there is not one device per tower, or the joined form is to be split.
        """
        if len(devices) != len(self.towers):
            raise ValueError(f"devices: expected {len(self.towers)}, found {len(devices)}")
        if self.form == "joined" and len({torch.device(device) for device in devices}) > 1:
            raise ValueError(f"devices: expected one for the joined form, found {devices}")
        for tower, device in zip(self.towers, devices, strict=True):
            tower.to(device)
        self.fc8.to(devices[0])

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits.

        Activations move between devices only where a layer reads both towers.

        Args:
            images: RGB patches in grey levels less the mean image, unscaled, floating point,
                (N, 3, S, S); or with the `margin` at the right and at the bottom already.

        Returns:
            The logits, (N, classes), on the first tower's device.

        Raises:
            ValueError: If the patches are not RGB or not of the recipe's side.
        """
        columns = self._columns()
        parts = self._enter(images, columns)
        for layer in self.layers:
            parts = _run(layer, columns, parts)
        return self._leave(columns, parts)

    def activations(self, images: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Compute the outputs of layers, in the network's present mode.

        Layers are cut as in the released source: a neuron belongs to the layer before it. In
        its order conv1 and conv5 are the sums themselves, negative ones too, and pool1 and pool5
        come after the neuron; conv2, conv3, conv4, conv6, fc6 and fc7 come after it, and
        before dropout. In the paper's order conv1 comes after the neuron. fc8 is the logits.

        Args:
            images: As for `forward`, (N, 3, S, S).
            names: Any of conv1 to conv6, norm1, norm2, within2 (the within-map normalisation
                after norm2), pool1, pool2, pool5, fc6, fc7 and fc8, if the network has them.

        Returns:
            The activations by name, in the network's order: maps (N, C, H, W) or units (N, U)
            of all towers, the first tower's first, on its device.

        Raises:
            ValueError: If a name is not known, or the patches are not of the recipe's side.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown:
            known = ", ".join(self.names)
            raise ValueError(f"names: expected any of {known}, found {unknown[0]!r}")
        columns, outputs, name = self._columns(), {}, ""
        parts = self._enter(images, columns)
        for layer in self.layers:
            parts = _run(layer, columns, parts)
            # A neuron's output takes the place of what it was made of.
            name = name if layer.kind == "neuron" else layer.name
            if name in names:
                outputs[name] = parts
        if "fc8" in names:
            outputs["fc8"] = [self._leave(columns, parts)]
        return {name: _join(parts, [columns[0].device])[0] for name, parts in outputs.items()}

    def _columns(self) -> Sequence[Column]:
        towers = [cast(Tower, tower) for tower in self.towers]
        return [Joined(towers)] if self.form == "joined" and len(towers) > 1 else towers

    def _enter(self, images: Tensor, columns: Sequence[Column]) -> list[Tensor]:
        """Check the images and hand them to each column."""
        wide = self.side + self.margin
        if images.shape[1:] not in ((3, self.side, self.side), (3, wide, wide)):
            expected = f"(N, 3, {self.side}, {self.side})"
            raise ValueError(f"images: expected {expected}, found {tuple(images.shape)}")
        # Zeros at the right and at the bottom only: 224 gives 55 x 55.
        beyond = wide - images.shape[-1]
        padded = functional.pad(images, (0, beyond, 0, beyond)) if beyond else images
        return [padded.to(column.device) for column in columns]

    def _leave(self, columns: Sequence[Column], parts: list[Tensor]) -> Tensor:
        logits: Tensor = self.fc8(_join(parts, [columns[0].device])[0])
        return logits


def build(model: AlexNetModel, num_classes: int, seed: int) -> AlexNet:
    """Make the network with its initial values, on the CPU.

    No generator but the seed's own is used: the parameters come into being without values.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
        seed: Seed of the initial weights.

    Raises:
        ConfigError: If side or width leave a layer empty.
    """
    if model.side < model.min_side:
        expected = f"{model.min_side} or more"
        advice = "take a larger patch, or a model for small images"
        raise ConfigError(mismatch("model.side", expected, model.side, advice))
    sides = map_sides(model)
    if min(sides.values()) < 1:
        layer = next(name for name, side in sides.items() if side < 1)
        wanted = f"maps of a pixel or more in {layer}"
        advice = "take a larger patch, or more padding"
        raise ConfigError(mismatch("model.side", wanted, model.side, advice))
    if num_units(model.width) < 1:
        raise ConfigError(
            mismatch("model.width", "a unit per tower or more", model.width, "take 0.01 or more")
        )
    with torch.device("meta"):
        network = AlexNet(model, num_classes)
    network.to_empty(device="cpu")
    initialise(network, model, seed)
    return network


def _run(layer: TowerLayer, columns: Sequence[Column], parts: list[Tensor]) -> list[Tensor]:
    """Run a layer in every column, on what it reads of the columns' `parts`."""
    devices = [column.device for column in columns]
    if layer.reads == "both":
        parts = _join(parts, devices)
    elif layer.reads == "edges" and len(parts) > 1:
        beside = [_with_edges(parts, index, device) for index, device in enumerate(devices)]
        first, last = parts[0].shape[1], parts[1].shape[1]
        owns = [slice(0, first), slice(-last, None)]
        towers = zip(columns, beside, owns, strict=True)
        return [column.run(layer, part, own) for column, part, own in towers]
    return [column.run(layer, part) for column, part in zip(columns, parts, strict=True)]


def _join(parts: list[Tensor], devices: list[torch.device]) -> list[Tensor]:
    """Join the columns' `parts` along axis 1, once on each device, for the column there."""
    if len(parts) == 1:
        return parts
    joined: dict[torch.device, Tensor] = {}
    for device in devices:
        if device not in joined:
            joined[device] = torch.cat([part.to(device) for part in parts], dim=1)
    return [joined[device] for device in devices]


def _with_edges(parts: list[Tensor], index: int, device: torch.device) -> Tensor:
    """Put the nearest maps of the other of two towers beside those of tower `index`."""
    if index == 0:
        return torch.cat([parts[0], parts[1][:, :REACH].to(device)], dim=1)
    return torch.cat([parts[0][:, -REACH:].to(device), parts[1]], dim=1)
