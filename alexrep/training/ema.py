"""Exponential moving average of a network's weights over the steps.

The running statistics of batch normalisation are averaged with the weights that they belong to.
Whole numbers, such as its count of batches, are taken over as they are.
"""

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
        self._parameters: dict[str, Tensor] = dict(model.named_parameters())
        saved = model.state_dict()
        buffers = {name: part for name, part in model.named_buffers() if name in saved}
        self._weights = self._parameters | buffers
        self._means = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Update the averages with the weights after a step."""
        averaged = [name for name, mean in self._means.items() if mean.is_floating_point()]
        means = [self._means[name] for name in averaged]
        torch._foreach_lerp_(means, [self._weights[name] for name in averaged], 1 - self._decay)
        for name in self._means.keys() - averaged:
            self._means[name].copy_(self._weights[name])

    def state(self) -> dict[str, Tensor]:
        """Return the averages by name of the parameter or buffer, for a checkpoint; not copied."""
        return dict(self._means)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned.

        Older ones are of parameters only: then the averages of the rest are what the network has.

        Raises:
            ValueError: If it is of another network.
        """
        odd = state.keys() ^ self._means.keys()
        if odd and state.keys() != self._parameters.keys():
            found = f"{sorted(odd)[:3]} apart"
            raise ValueError(f"averages: expected those of this network, found {found}")
        for name, mean in self._means.items():
            mean.copy_(state.get(name, self._weights[name]))

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
