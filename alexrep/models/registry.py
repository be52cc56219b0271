"""The networks by name. A new one is a file with a `build` and a line here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from alexrep.compute.precision import Towered
from alexrep.config.model import Model
from alexrep.errors import ConfigError, mismatch
from alexrep.models.alexnet import network as alexnet
from alexrep.models.alexnet.network import Form
from alexrep.models.cifar import layers as cifar_layers
from alexrep.models.cifar import network as cifar

Builder = Callable[[Model, int, int], nn.Module]

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "alexnet": alexnet.build,
        **dict.fromkeys(cifar_layers.NETS, cifar.build),
    }
)


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
        ConfigError: If no network has that name, or it cannot be made so.
        ValueError: If `num_classes` is under 1.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes: expected 1 or more, found {num_classes}")
    builder = BUILDERS.get(model.name)
    if builder is None:
        known = ", ".join(sorted(BUILDERS))
        raise ConfigError(
            mismatch("model.name", f"one of {known}", repr(model.name), "mend the recipe")
        )
    network = builder(model, num_classes, seed)
    if isinstance(network, Towered):
        network.form = form
    return network
