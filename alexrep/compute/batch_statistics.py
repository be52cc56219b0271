"""Batch normalisation over the images of all ranks together.

Shapes: N images of this rank's piece, C channels; further axes are places.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from alexrep.compute.processes import Processes

Sum = Callable[[Tensor], Tensor]


def has_batch_norms(network: nn.Module) -> bool:
    """Tell whether a network normalises over the batch."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def synchronise(network: nn.Module, processes: Processes) -> None:
    """Have every batch normalisation of `network` take mean and variance over all ranks' images.

    Parameters, running statistics and their names stay as they are. From then on all ranks must
    compute the network equally often in training; a rank may do so without images.

    Args:
        network: Changed in place.
        processes: The ranks.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, FrozenNorm):
            # What replaced it would have to take its place in all parts that hold it.
            module.__class__ = SynchronisedNorm
            vars(module)["processes"] = (processes,)


def freeze(network: nn.Module) -> None:
    """Have every batch normalisation of `network` stay in evaluation, whatever it is put into.

    Args:
        network: Changed in place.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = FrozenNorm
            module.eval()


class FrozenNorm(_BatchNorm):
    """Batch normalisation with the running statistics that it has; see `freeze`."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        """Take any number of places."""

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 (of every module)
        """Stay in evaluation."""
        return super().train(mode=False)


class SynchronisedNorm(_BatchNorm):
    """Batch normalisation with mean and variance over all ranks' images; see `synchronise`.

    Torch's own `SyncBatchNorm` computes on GPUs only, and knows no rank without images.
    """

    processes: tuple[Processes]
    """The ranks."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        """Take any number of places."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """Normalise `input` (N, C, ...)."""
        if not self.training:
            return super().forward(input)
        out: Tensor
        out, mean, variance, count = _Normalise.apply(
            input, self.weight, self.bias, self.eps, self._sum
        )
        self._note(mean, variance * count / (count - 1).clamp(min=1))
        return out

    def _sum(self, values: Tensor) -> Tensor:
        """Sum `values` over the ranks, in place."""
        self.processes[0].start_sum(values)()
        return values

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        """Let the running statistics follow, as torch's own batch normalisation does."""
        kept = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            kept = 1 / float(self.num_batches_tracked) if kept is None else kept
        for running, new in (self.running_mean, mean), (self.running_var, variance):
            if running is not None:
                running.lerp_(new.to(running.dtype), kept or 0.0)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the images of all ranks.

    The gradient is written out, so that little is kept for it and one sum over the ranks does.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (attributes are added to it)
        given: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        total: Sum,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, axes = _wide(given), _axes(given)
        num = x.new_full((1,), given.numel() / given.shape[1])
        *_, count = sums = total(torch.cat([x.sum(axes), num]))
        mean = sums[:-1] / count
        # Not the mean of squares less the square of the mean, which loses digits.
        variance = total((x - _spread(mean, x)).square().sum(axes)) / count
        out = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(given, weight, mean, torch.rsqrt(variance + eps), count)
        ctx.total = total
        ctx.mark_non_differentiable(mean, variance, count)
        return out.to(given.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 (attributes are added to it)
        gradient: Tensor,
        *_: Tensor,
    ) -> tuple[Tensor | None, ...]:
        given, weight, mean, inverse, count = ctx.saved_tensors
        axes, wide = _axes(given), _wide(gradient)
        normal = (_wide(given) - _spread(mean, given)) * _spread(inverse, given)
        own = torch.stack([wide.sum(axes), (wide * normal).sum(axes)])
        shared = ctx.total(own.clone()) / count
        scale = inverse if weight is None else inverse * weight
        centred = wide - _spread(shared[0], wide) - normal * _spread(shared[1], wide)
        given_gradient = (centred * _spread(scale, wide)).to(given.dtype)
        # Of the parameters this rank's part only: all gradients are summed over the ranks later.
        parts = (None, None) if weight is None else (own[1], own[0])
        return given_gradient, *parts, None, None


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _axes(values: Tensor) -> list[int]:
    """Return the axes of images and places."""
    return [axis for axis in range(values.dim()) if axis != 1]


def _spread(values: Tensor, over: Tensor) -> Tensor:
    """Shape (C,) to (1, C, 1, ...), as `over` has axes."""
    return values.view(1, -1, *(1,) * (over.dim() - 2))
