"""A user's own network: its recipe fields, the function that builds it, and `register`."""

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from alexrep.config import model as networks
from alexrep.config.model import Model
from alexrep.config.strict import Label
from alexrep.models import registry


class TinyModel(Model):
    """Two convolutions with batch normalisation, and global average pooling."""

    name: Literal["tiny"] = "tiny"
    """Name of the network."""
    num_maps: Annotated[int, Field(ge=1, le=512), Label("maps")] = 8
    """Channels of the first convolution; the second has twice as many."""


def build(model: TinyModel, num_classes: int, seed: int) -> nn.Module:
    """Build the network with torch's own initialisation, seeded with `seed`."""
    num = model.num_maps
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = {
            "conv1": nn.Conv2d(3, num, 5, stride=4, bias=False),
            "norm1": nn.BatchNorm2d(num),
            "relu1": nn.ReLU(),
            "conv2": nn.Conv2d(num, 2 * num, 3, stride=2, bias=False),
            "norm2": nn.BatchNorm2d(2 * num),
            "relu2": nn.ReLU(),
            "pool2": nn.AdaptiveAvgPool2d(1),
            "flat": nn.Flatten(),
            "fc3": nn.Linear(2 * num, num_classes),
        }
        return nn.Sequential(OrderedDict(layers))


networks.register(TinyModel)
registry.register(TinyModel, build)
