"""Exponential moving average of a network's weights over the steps."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """a <- d a + (1 - d) w after each step, from the initial weights on."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start with a copy of the weights.

        Args:
            model: The network.
            decay: Fraction d of the average kept at each step, in (0, 1).

        Raises:
            ValueError: If `decay` is not in (0, 1).
        """
        if not 0 < decay < 1:
            raise ValueError(f"decay: expected a number between 0 and 1, found {decay}")
        self._decay = decay
        self._weights = dict(model.named_parameters())
        self._means = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Update the averages with the weights after a step."""
        means: list[Tensor] = list(self._means.values())
        weights: list[Tensor] = list(self._weights.values())
        torch._foreach_lerp_(means, weights, 1 - self._decay)

    def state(self) -> dict[str, Tensor]:
        """Return the averages by parameter name, for a checkpoint; not copied."""
        return dict(self._means)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned.

        Raises:
            ValueError: If it is of another network.
        """
        if state.keys() != self._means.keys():
            odd = sorted(state.keys() ^ self._means.keys())
            raise ValueError(f"averages: expected those of this network, found {odd[:3]} apart")
        for name, mean in self._means.items():
            mean.copy_(state[name])

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Exchange weights and averages inside the block, and exchange them back after it.

        No checkpoint may be saved inside.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weights in self._weights.items():
            own = weights.detach().clone()
            weights.copy_(self._means[name])
            self._means[name].copy_(own)
