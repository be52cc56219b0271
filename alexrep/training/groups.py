"""The parameters of a network in groups by layer and kind, held against a recipe."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn
from torch.optim import Optimizer

from alexrep.config.schedules import Schedule
from alexrep.errors import ConfigError, mismatch

KINDS = {"weight": "weights", "bias": "biases"}


def parameter_groups(
    model: nn.Module,
    momentum: float = 0.9,
    weight_decay: float = 0.0005,
    layer_decays: Mapping[str, float] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Sort the parameters of `model` by layer and kind.

    Args:
        model: Its parameters are named `...<layer>.weight` and `...<layer>.bias`.
        momentum: Share of the last step kept.
        weight_decay: Decay of weights; biases have none.
        layer_decays: Decay of the weights of single layers, where it is another.

    Returns:
        One group per layer (the last module's name, so that two towers share it) and kind
        ("weights", "biases"), in order of appearance, with keys params, layer, kind, rate (0),
        momentum and weight_decay.

    Raises:
        ConfigError: If the network has no layer of that name.
        ValueError: If a parameter has another name.
    """
    found: dict[tuple[str, str], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        *_, layer, kind = "", *name.split(".")
        if not layer or kind not in KINDS:
            raise ValueError(f"parameter: expected <layer>.weight or <layer>.bias, found {name!r}")
        found.setdefault((layer, KINDS[kind]), []).append(parameter)
    _require_layers(layer_decays, [layer for layer, _ in found])
    return [
        {
            "params": parameters,
            "layer": layer,
            "kind": kind,
            "rate": 0.0,
            "momentum": momentum,
            "weight_decay": layer_decays.get(layer, weight_decay) if kind == "weights" else 0.0,
        }
        for (layer, kind), parameters in found.items()
    ]


def _require_layers(layer_decays: Iterable[str], layers: Iterable[str]) -> None:
    known = list(dict.fromkeys(layers))
    for layer in layer_decays:
        if layer not in known:
            expected = "layers of " + ", ".join(known)
            advice = "mend the recipe"
            raise ConfigError(mismatch("optimiser.layer_decays", expected, repr(layer), advice))


def set_rates(optimiser: Optimizer, rates: Mapping[tuple[str, str], float]) -> None:
    """Set the rate of every group of `optimiser`.

    Args:
        optimiser: Its groups come from `parameter_groups()`.
        rates: The rate by (layer, kind), one for each group and no more.

    Raises:
        ValueError: If a group has no rate here, or a rate no group.
    """
    asked = {(group["layer"], group["kind"]) for group in optimiser.param_groups}
    if asked != rates.keys():
        odd = sorted(asked ^ rates.keys())
        raise ValueError(f"rates: expected one per group, found a difference at {odd[:3]}")
    for group in optimiser.param_groups:
        group["rate"] = float(rates[group["layer"], group["kind"]])


def require_layers(schedule: Schedule, layers: Iterable[str]) -> None:
    """Check that the network has every layer that `schedule` names, before the first epoch.

    Args:
        schedule: The schedule of a recipe.
        layers: The layers of the network.

    Raises:
        ConfigError: If one is unknown.
    """
    known = list(dict.fromkeys(layers))
    for change in schedule.changes:
        for layer in change.layers:
            if layer not in known:
                where = f"schedule.changes: epoch {change.epoch}"
                expected = "layers of " + ", ".join(known)
                raise ConfigError(mismatch(where, expected, repr(layer), "mend the recipe"))
