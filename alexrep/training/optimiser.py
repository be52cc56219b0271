"""The update rule of 2012: momentum with the learning rate inside the velocity."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer


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
