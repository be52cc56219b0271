"""An update rule of one's own: what its recipes can set, what makes it, `register` for each."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from alexrep.config import optimiser as rules
from alexrep.config.optimiser import Optimiser
from alexrep.config.strict import Label
from alexrep.training import optimiser as builders
from alexrep.training.groups import Group


class AdamWRule(Optimiser):
    """Adam with the decay apart from the gradient."""

    name: Annotated[Literal["adamw"], Label("update rule")] = "adamw"
    """Name of the update rule."""
    beta2: Annotated[float, Field(ge=0, lt=1), Label("mean of squares kept")] = 0.999
    """Share of the running mean of squared gradients kept each step."""


def build(rule: AdamWRule, groups: list[Group]) -> torch.optim.Optimizer:
    """Make the rule; each group has its rate and decay, which the schedule and recipe set."""
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, rule.beta2))


rules.register(AdamWRule)
builders.register(AdamWRule, build)
