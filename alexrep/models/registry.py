"""The networks by name: what builds each.

A new network is a file with its builder, a settings class (see `config/model.py`), and a
call of `register` for each of the two.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from alexrep.compute.precision import Towered
from alexrep.config import model as settings
from alexrep.config.model import AlexNetModel, CifarModel, Model
from alexrep.config.networks import (
    AlexNet2014Model,
    MobileNetModel,
    ResNetModel,
    TinyInceptionModel,
    TinyResNetModel,
)
from alexrep.config.torchvision import TorchvisionModel
from alexrep.errors import ConfigError, mismatch
from alexrep.models import mobilenet, resnet, tiny_nets, torchvision
from alexrep.models.alexnet import network as alexnet
from alexrep.models.alexnet import network_2014
from alexrep.models.alexnet.network import Form
from alexrep.models.cifar import network as cifar
from alexrep.models.initial_values import builder

M = TypeVar("M", bound=Model)

BUILDERS: dict[str, Callable[[Any, int, int], nn.Module]] = {}
"""What makes a network of its settings, the number of classes, and the seed."""


def register(kind: type[M], builder: Callable[[M, int, int], nn.Module]) -> None:
    """Have the networks whose settings are of class `kind` made by `builder`.

    Args:
        kind: The settings class, as `config.model.register` knows it.
        builder: Makes the network with its initial values, in training mode, on the CPU, from
            its settings, the number of classes, and the seed of the initial values. It takes
            images, mean-subtracted grey levels, (N, 3, side, side), and gives logits
            (N, classes). In training it may give a tuple of them: the logits that are scored
            and those of auxiliary heads, whose losses count `auxiliary_weight` each, an
            attribute of the network.
    """
    BUILDERS.update(dict.fromkeys(settings.KINDS.names_of(kind), builder))


def build(model: Model, num_classes: int, seed: int, form: Form = "towers") -> nn.Module:
    """Make the network that `model` names, with its initial values, on the CPU.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
        seed: Seed of the initial values.
        form: For a network of towers, whether each is computed by itself, or all at once on
            one device; no other network knows the difference. Parameters, their names and
            values are the same, the outputs equal within rounding.

    Returns:
        The network in training mode. It takes images, mean-subtracted grey levels,
        (N, 3, side, side), and gives logits (N, num_classes).

    Raises:
        ConfigError: If nothing is registered that builds it, or it cannot be made so.
        ValueError: If `num_classes` is under 1.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes: expected 1 or more, found {num_classes}")
    make = BUILDERS.get(model.name)
    if make is None:
        known, advice = ", ".join(sorted(BUILDERS)), "register what builds it"
        raise ConfigError(mismatch("model.name", f"one of {known}", repr(model.name), advice))
    network = make(model, num_classes, seed)
    if isinstance(network, Towered):
        network.form = form
    return network


register(AlexNetModel, alexnet.build)
register(CifarModel, cifar.build)
register(TorchvisionModel, torchvision.build)
register(AlexNet2014Model, builder(network_2014.make))
register(ResNetModel, builder(resnet.make))
register(MobileNetModel, builder(mobilenet.make))
register(TinyResNetModel, builder(tiny_nets.make_resnet))
register(TinyInceptionModel, builder(tiny_nets.make_inception))
