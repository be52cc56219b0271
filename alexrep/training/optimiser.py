"""The update rule of 2012: momentum with the learning rate inside the velocity."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alexrep.errors import ConfigError, mismatch

KINDS = {"weight": "weights", "bias": "biases"}


class Momentum2012(Optimizer):
    """v <- m v - d r w - r g, then w <- w + v.

    m is the momentum, d the weight decay, r the rate, g the gradient averaged over the batch.
    The velocity v keeps the rates it was made with. `torch.optim.SGD` has the rate outside:
    the same at a constant rate, another path for about ten steps after each change.

    Groups of rate 0 are skipped: no step, no decay, and the velocity stays as it is.

    Source: Krizhevsky et al. 2012, section 5; the skipping is the released source's.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        """Take parameter groups as `groups()` makes them."""
        super().__init__(groups, {"rate": 0.0, "momentum": 0.9, "weight_decay": 0.0})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient and a rate.

        Args:
            closure: Computes loss and gradients anew, if given.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for (rate, momentum, decay), parameters in self._alike().items():
            self._update(parameters, rate, momentum, decay)
        return loss

    def _alike(self) -> dict[tuple[float, float, float], list[Tensor]]:
        """Gather the parameters to update by their numbers: few large calls, not many small."""
        alike: dict[tuple[float, float, float], list[Tensor]] = {}
        for group in self.param_groups:
            if group["rate"] != 0:
                numbers = group["rate"], group["momentum"], group["weight_decay"]
                found = [parameter for parameter in group["params"] if parameter.grad is not None]
                alike.setdefault(numbers, []).extend(found)
        return {numbers: found for numbers, found in alike.items() if found}

    def _update(self, parameters: list[Tensor], rate: float, momentum: float, decay: float) -> None:
        velocities = [self._velocity(parameter) for parameter in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_mul_(velocities, momentum)
        if decay != 0:
            torch._foreach_add_(velocities, parameters, alpha=-decay * rate)
        torch._foreach_add_(velocities, gradients, alpha=-rate)
        torch._foreach_add_(parameters, velocities)

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        velocity: Tensor = state["velocity"]
        return velocity


def groups(
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
        optimiser: Its groups come from `groups()`.
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
