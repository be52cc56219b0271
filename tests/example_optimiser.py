"""A user's own update rule: its recipe fields, the function that makes it, and `register`."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from alexrep.config import optimiser as rules
from alexrep.config.optimiser import Optimiser
from alexrep.config.strict import Label
from alexrep.training import optimiser as builders
from alexrep.training.groups import Group


class NAdamRule(Optimiser):
    """Adam with Nesterov's momentum."""

    name: Annotated[Literal["nadam"], Label("update rule")] = "nadam"
    """Name of the update rule."""
    beta2: Annotated[float, Field(ge=0, lt=1), Label("mean of squares kept")] = 0.999
    """Decay of the running mean of squared gradients."""


def build(rule: NAdamRule, groups: list[Group]) -> torch.optim.Optimizer:
    """Make the rule; each group has its rate and decay, which the schedule and recipe set."""
    return torch.optim.NAdam(groups, lr=0.0, betas=(0.9, rule.beta2))


rules.register(NAdamRule)
builders.register(NAdamRule, build)
