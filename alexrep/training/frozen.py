"""Layers that a training leaves as they are: no gradients, and running statistics that stay."""

from collections.abc import Sequence

from torch import nn

from alexrep.compute import batch_statistics
from alexrep.config.rates import is_named
from alexrep.errors import ConfigError, mismatch
from alexrep.training.groups import require_named


def freeze(network: nn.Module, names: Sequence[str]) -> None:
    """Have the named layers, and all that lies in them, stay as they are.

    Their parameters need no gradients, and their batch normalisations are computed as in
    evaluation; dropout is drawn as ever.

    Args:
        network: Changed in place.
        names: Full paths, such as `layer1` or `features.0`, or last parts, which mean every
            layer so named.

    Raises:
        ConfigError: If one is not in the network, or no parameter is left to train.
    """
    if not names:
        return
    modules = {path: module for path, module in network.named_modules() if path}
    require_named(names, modules, "start.frozen")
    for name in names:
        # A whole path means this layer alone: conv1 of a ResNet is its first layer.
        chosen = [name] if name in modules else [path for path in modules if is_named(name, path)]
        for path in chosen:
            modules[path].requires_grad_(False)
            batch_statistics.freeze(modules[path])
    if not any(parameter.requires_grad for parameter in network.parameters()):
        wanted, advice = "a layer that is trained", "leave one out"
        raise ConfigError(mismatch("start.frozen", wanted, "none", advice))
