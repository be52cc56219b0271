"""torch's update rules, with the groups of parameters that a recipe sets rates for."""

from typing import Any

import torch
from torch.optim import Optimizer

from alexrep.config.optimiser import AdamRule, RmsPropRule, SgdRule
from alexrep.training.groups import Group


class _Gathered(Optimizer):
    """A rule of torch's that updates all parameters with the same numbers in one call.

    There are two groups for each layer, for their rates. torch goes from group to group, which
    is many small calls. As with the rule of 2012 groups of rate 0 are skipped, and so are their
    means.
    """

    def step(self, closure: Any = None) -> Any:  # noqa: ANN401 (as the rules of torch have it)
        groups = self.param_groups
        self.param_groups = _alike(groups)
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups


def _alike(groups: list[Group]) -> list[Group]:
    """Join the groups that are trained, and differ in their layers only."""
    own, joined = ("params", "layer", "kind"), dict[tuple[object, ...], Group]()
    for group in groups:
        if group["rate"] != 0:
            numbers = tuple(value for key, value in group.items() if key not in own)
            whole = joined.setdefault(numbers, {**group, "params": []})
            whole["params"] += group["params"]
    return list(joined.values())


class _Sgd(_Gathered, torch.optim.SGD):
    pass


class _Adam(_Gathered, torch.optim.Adam):
    pass


class _AdamW(_Gathered, torch.optim.AdamW):
    pass


class _RmsProp(_Gathered, torch.optim.RMSprop):
    pass


def sgd(rule: SgdRule, groups: list[Group]) -> Optimizer:
    """Make stochastic gradient descent for groups of `parameter_groups`."""
    return _Sgd(groups, lr=0.0, momentum=rule.momentum, nesterov=rule.nesterov, fused=True)


def adam(rule: AdamRule, groups: list[Group]) -> Optimizer:
    """Make Adam or AdamW for groups of `parameter_groups`."""
    kind = _AdamW if rule.name == "adamw" else _Adam
    betas = rule.beta1, rule.beta2
    return kind(groups, lr=0.0, betas=betas, eps=rule.epsilon, fused=True)


def rmsprop(rule: RmsPropRule, groups: list[Group]) -> Optimizer:
    """Make RMSProp for groups of `parameter_groups`."""
    return _RmsProp(
        groups,
        lr=0.0,
        alpha=rule.alpha,
        eps=rule.epsilon,
        momentum=rule.momentum,
        centered=rule.centred,
        foreach=True,
    )
