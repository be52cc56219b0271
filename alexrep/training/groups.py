"""The parameters of a network in groups, one for each module and kind, and their rates.

A recipe names a module by its full path (`towers.0.conv1`) or by its last parts (`conv1`, which
means every module so named: both towers' conv1).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from alexrep.config.optimiser import Optimiser
from alexrep.config.rates import is_named
from alexrep.config.schedules import Schedule
from alexrep.errors import ConfigError, examples, mismatch, suggestion

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Normalisations with scales; `_NormBase` is that of batches and instances."""

Group = dict[str, Any]


def parameter_groups(model: nn.Module, rule: Optimiser) -> list[Group]:
    """Sort the parameters of `model` by module and kind.

    Args:
        model: The network.
        rule: What decays, and by how much.

    Returns:
        One group for each module that has trained parameters of its own and each kind of them,
        "biases" or "weights" (all others), in order of appearance, with keys params, layer (the
        module's path), kind, rate (0), weight_decay and l1.

    Raises:
        ConfigError: If the rule names a layer that the network does not have.
    """
    by_group: dict[tuple[str, str], list[nn.Parameter]] = {}
    layers: dict[str, None] = {}
    for name, parameter in model.named_parameters():
        layer, _, last = name.rpartition(".")
        layers[layer] = None
        kind = "biases" if last.endswith("bias") else "weights"
        if parameter.requires_grad:
            by_group.setdefault((layer, kind), []).append(parameter)
    require_named(rule.layer_decays, layers, "optimiser.layer_decays")
    return [
        {
            "params": parameters,
            "layer": layer,
            "kind": kind,
            "rate": 0.0,
            "weight_decay": _decay(rule, layer, kind, model.get_submodule(layer)),
            "l1": rule.l1 if _decays(rule, kind, model.get_submodule(layer)) else 0.0,
        }
        for (layer, kind), parameters in by_group.items()
    ]


def layers_of(groups: Iterable[Group]) -> list[str]:
    """Return the paths of the modules whose parameters `groups` hold, each once."""
    return list(dict.fromkeys(group["layer"] for group in groups))


def set_rates(optimiser: Optimizer, rates: Mapping[tuple[str, str], float]) -> None:
    """Set the rate of every group of `optimiser`, as `rate`, and as `lr` for torch's own rules.

    Args:
        optimiser: Its groups come from `parameter_groups()`.
        rates: The rate by (layer, kind), one for each group and no more than one for each kind.

    Raises:
        ValueError: If a group has no rate here, or a rate no layer.
    """
    keys = {(group["layer"], group["kind"]) for group in optimiser.param_groups}
    layers = {layer for layer, _ in keys}
    odd = (keys - rates.keys()) | {key for key in rates if key[0] not in layers}
    if odd:
        raise ValueError(f"rates: expected one per group, found a difference at {sorted(odd)[:3]}")
    for group in optimiser.param_groups:
        group["rate"] = float(rates[group["layer"], group["kind"]])
        if "lr" in group:
            group["lr"] = group["rate"]


def require_layers(schedule: Schedule, layers: Iterable[str]) -> None:
    """Check that the network has every layer that `schedule` names, before the first epoch.

    Args:
        schedule: The schedule of a recipe.
        layers: Paths of the network's layers.

    Raises:
        ConfigError: If one is unknown.
    """
    known = list(layers)
    for change in schedule.changes:
        require_named(change.layers, known, f"schedule.changes: epoch {change.epoch}")


def _decays(rule: Optimiser, kind: str, module: nn.Module) -> bool:
    """Tell whether parameters decay as weights do."""
    is_norm = isinstance(module, NORMS)
    return (kind == "weights" or rule.decay_biases) and (not is_norm or rule.decay_norms)


def _decay(rule: Optimiser, layer: str, kind: str, module: nn.Module) -> float:
    if not _decays(rule, kind, module):
        return rule.bias_decay if kind == "biases" and not isinstance(module, NORMS) else 0.0
    names = [name for name in rule.layer_decays if is_named(name, layer)]
    # The longest name is the most exact one.
    return rule.layer_decays[max(names, key=len)] if names else rule.weight_decay


def require_named(names: Iterable[str], layers: Iterable[str], where: str) -> None:
    """Check that every name is a layer's path or its last parts.

    Args:
        names: Names of a recipe.
        layers: Paths of the network's layers.
        where: The field that holds the names.

    Raises:
        ConfigError: If one is unknown; the layers are named.
    """
    known = list(layers)
    for name in names:
        if not any(is_named(name, layer) for layer in known):
            short = list(dict.fromkeys(map(_short, known)))
            expected = "layers of " + examples(short, most=20)
            advice = suggestion(name, [*short, *known]) or "mend the recipe"
            raise ConfigError(mismatch(where, expected, repr(name), advice))


def _short(layer: str) -> str:
    """Return the last parts of a path, from the last that is no number."""
    *before, last = layer.split(".")
    return last if not last.isdecimal() or not before else f"{_short('.'.join(before))}.{last}"
