"""The update rules by name: that of 2012, and torch's.

A new rule is a torch optimiser whose groups obey `rate`, or torch's `lr`; a settings class (see
`config/optimiser.py`); and a call of `register` for each of the two.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from alexrep.config import optimiser as settings
from alexrep.config.optimiser import (
    AdamRule,
    Momentum2012Rule,
    Optimiser,
    RmsPropRule,
    SgdRule,
)
from alexrep.errors import ConfigError, ManifestError, mismatch
from alexrep.kernels import choice
from alexrep.training import torch_rules
from alexrep.training.groups import Group, parameter_groups

UPDATE = "update of 2012"
"""Name of its fused kernel."""

R = TypeVar("R", bound=Optimiser)

BUILDERS: dict[str, Callable[[Any, list[Group]], Optimizer]] = {}
"""Functions that make an optimiser from its settings and the groups of parameters, by name."""


def register(kind: type[R], builder: Callable[[R, list[Group]], Optimizer]) -> None:
    """Add a builder for the rules whose settings are of class `kind`.

    Args:
        kind: The settings class, as passed to `config.optimiser.register`.
        builder: Makes the optimiser from its settings and the groups of `parameter_groups`.
    """
    BUILDERS.update(dict.fromkeys(settings.KINDS.names_of(kind), builder))


def build(rule: Optimiser, model: nn.Module) -> Optimizer:
    """Make the optimiser that `rule` names, for the parameters of `model`; all rates are 0.

    Raises:
        ConfigError: If nothing is registered that builds it, or it names a layer that the
            network does not have.
    """
    builder = BUILDERS.get(rule.name)
    if builder is None:
        known, advice = ", ".join(sorted(BUILDERS)), "register what builds it"
        raise ConfigError(mismatch("optimiser.name", f"one of {known}", repr(rule.name), advice))
    return builder(rule, parameter_groups(model, rule))


def restore(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Put an optimiser into the state that another one of the same network and rule had.

    Args:
        optimiser: Made by `build`.
        state: The other one's `state_dict()`. Older ones have one group for all modules of the
            same last name, such as both towers' conv1.

    Raises:
        ManifestError: If it is the state of another network.
    """
    groups = optimiser.param_groups
    if [_key(group) for group in groups] != [_key(group) for group in state["param_groups"]]:
        try:
            state = {**state, "param_groups": _by_module(state["param_groups"], groups)}
        except (KeyError, StopIteration):
            wanted, advice = "the groups of this network", "go on from checkpoints of one run only"
            where = "the checkpoint's optimizer"
            raise ManifestError(mismatch(where, wanted, "others", advice)) from None
    pairs = zip(groups, state["param_groups"], strict=True)
    whole = [_completed(saved, mine) for mine, saved in pairs]
    optimiser.load_state_dict({**state, "param_groups": whole})


def _completed(saved: Group, own: Group) -> Group:
    """Return a saved group with the numbers that came later, and pairs that are no lists."""
    pairs = {key: tuple(saved[key]) for key in saved if isinstance(own.get(key), tuple)}
    return {**own, **saved, **pairs}


def _by_module(saved: list[Group], groups: list[Group]) -> list[Group]:
    """Divide groups of modules of one last name among those of `groups`, in their order."""
    by_key = {_key(group): group for group in saved}
    indices = {key: iter(group["params"]) for key, group in by_key.items()}
    divided = []
    for group in groups:
        key = group["layer"].rpartition(".")[2], group["kind"]
        params = [next(indices[key]) for _ in group["params"]]
        divided.append({**by_key[key], "layer": group["layer"], "params": params})
    return divided


def _key(group: Group) -> tuple[str, str]:
    return group["layer"], group["kind"]


class Momentum2012(Optimizer):
    """v <- m v - d r w - r g, then w <- w + v.

    m is the momentum, d the weight decay, r the rate, g the gradient averaged over the batch.
    The velocity v keeps the rates it was made with. `torch.optim.SGD` has the rate outside:
    the same at a constant rate, another path for about ten steps after each change.

    Groups of rate 0 are skipped: no step, no decay, and the velocity stays as it is.

    Source: Krizhevsky et al. 2012, section 5; the skipping is the released source's.
    """

    def __init__(self, groups: Iterable[Group], momentum: float = 0.9) -> None:
        """Take groups of parameters.

        Args:
            groups: As `parameter_groups` makes them.
            momentum: Fraction of the last step kept, in groups that do not name their own.
        """
        super().__init__(groups, {"rate": 0.0, "momentum": momentum, "weight_decay": 0.0})

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
        for (rate, momentum, decay), parameters in self._gathered().items():
            self._update(parameters, rate, momentum, decay)
        return loss

    def _gathered(self) -> dict[tuple[float, float, float], list[Tensor]]:
        """Gather the parameters to update by their numbers: few large calls, not many small."""
        alike: dict[tuple[float, float, float], list[Tensor]] = {}
        for group in self.param_groups:
            if group["rate"] != 0:
                numbers = group["rate"], group["momentum"], group["weight_decay"]
                parameters = (each for each in group["params"] if each.grad is not None)
                alike.setdefault(numbers, []).extend(parameters)
        return {numbers: parameters for numbers, parameters in alike.items() if parameters}

    def _update(self, parameters: list[Tensor], rate: float, momentum: float, decay: float) -> None:
        velocities = [self._velocity(parameter) for parameter in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if choice.is_fused(UPDATE, parameters[0]):
            from alexrep.kernels import momentum_2012  # noqa: PLC0415 (Triton is not everywhere)

            if momentum_2012.takes(parameters, velocities, gradients):
                parts = parameters, velocities, gradients
                momentum_2012.update(*parts, momentum, decay * rate, rate)
                return
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


@torch.no_grad()
def shape_gradients(optimiser: Optimizer, rule: Optimiser) -> None:
    """Clip the gradients as `rule` says, and add the L1 decay to them; by default do neither.

    Groups of rate 0 are not trained: they do not count.

    Args:
        optimiser: Made by `build` from the same rule; its gradients are summed over all ranks.
        rule: The rule.
    """
    trained = [group for group in optimiser.param_groups if group["rate"] != 0]
    if rule.clip_norm is not None:
        nn.utils.clip_grad_norm_([p for group in trained for p in group["params"]], rule.clip_norm)
    decaying = [p for group in trained if group["l1"] for p in group["params"]]
    pairs = [(p.grad, p) for p in decaying if p.grad is not None]
    if pairs:
        gradients, weights = ([pair[index] for pair in pairs] for index in (0, 1))
        torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=rule.l1)


def _momentum_2012(rule: Momentum2012Rule, groups: list[Group]) -> Optimizer:
    return Momentum2012(groups, rule.momentum)


def _try(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Update a few parameters by the kernel and by the plain form."""
    from alexrep.kernels import momentum_2012  # noqa: PLC0415 (Triton is not everywhere)

    made: list[list[Tensor]] = []
    for is_fused in (True, False):
        values = torch.arange(3 * 5000, device=device).sin().view(3, 5000)
        weights = [
            nn.Parameter(values[0].clone()),
            nn.Parameter(values[1, :6].view(1, 2, 3).clone()),
        ]
        optimiser = Momentum2012([{"params": weights, "rate": 0.1, "weight_decay": 0.05}])
        for step in range(2):
            gradients = [(values[2] + step)[: w.numel()].view(w.shape) for w in weights]
            if is_fused:
                velocities = [optimiser._velocity(weight) for weight in weights]
                parts = [weight.detach() for weight in weights], velocities, gradients
                momentum_2012.update(*parts, 0.9, 0.05 * 0.1, 0.1)
            else:
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.grad = gradient
                optimiser.step()
        made.append([*weights, *(optimiser._velocity(weight) for weight in weights)])
    return list(zip(*made, strict=True))


choice.register(UPDATE, _try)

register(Momentum2012Rule, _momentum_2012)
register(SgdRule, torch_rules.sgd)
register(AdamRule, torch_rules.adam)
register(RmsPropRule, torch_rules.rmsprop)
