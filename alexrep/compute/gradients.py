"""All-reduce of gradients in a few large buckets, overlapped with the backward pass."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from alexrep.compute.processes import Processes

BUCKET_BYTES = 32 << 20
"""Size from which a bucket is reduced; fc6 alone is 75 million bytes."""


class _Bucket:
    """Parameters whose gradients lie one after another in one flat tensor."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        size = sum(parameter.numel() for parameter in parameters)
        self.parameters = parameters
        self.flat = torch.zeros(size, dtype=parameters[0].dtype, device=parameters[0].device)
        self.missing = 0
        starts = [0]
        for parameter in parameters:
            starts.append(starts[-1] + parameter.numel())
        # In the parameter's own layout in memory, so that the update reads straight on.
        self.views = [
            torch.as_strided(self.flat, parameter.shape, parameter.stride(), start)
            for parameter, start in zip(parameters, starts, strict=False)
        ]

    def clear(self) -> None:
        """Set the gradients to zero."""
        self.flat.zero_()
        for parameter, view in zip(self.parameters, self.views, strict=True):
            parameter.grad = view


class Gradients:
    """The gradients of a network, summed over all ranks.

    Buckets are reduced in one fixed order, whatever order the gradients are computed in, so
    that all ranks reduce the same bucket at the same time; a rank without images sends zeros.
    """

    def __init__(self, model: nn.Module, processes: Processes) -> None:
        """Take over the gradients of `model`, if there are several ranks."""
        self._model, self._processes = model, processes
        self._buckets: list[_Bucket] = []
        self._waits: list[Callable[[], object]] = []
        self._is_last = False
        if processes.size > 1:
            # Backward makes the last layer's gradients first.
            wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
            self._buckets = [_Bucket(parameters) for parameters in _divide(reversed(wanted))]
            for bucket in self._buckets:
                for parameter in bucket.parameters:
                    parameter.register_post_accumulate_grad_hook(self._note(bucket))

    def clear(self) -> None:
        """Begin a step: set all gradients to zero."""
        self._waits, self._is_last = [], False
        if not self._buckets:
            self._model.zero_grad(set_to_none=True)
        for bucket in self._buckets:
            bucket.clear()
            bucket.missing = len(bucket.parameters)

    def expect_last(self) -> None:
        """Say that the next backward pass is this rank's last one of the step."""
        self._is_last = True

    def send(self) -> None:
        """Reduce the buckets that are left: all of them on a rank without images."""
        for bucket in self._buckets[len(self._waits) :]:
            self._send(bucket)

    def finish(self) -> None:
        """Wait until all buckets are reduced."""
        for wait in self._waits:
            wait()

    def _note(self, bucket: _Bucket) -> Callable[[Tensor], None]:
        def made(_: Tensor) -> None:
            if self._is_last:
                bucket.missing -= 1
                while len(self._waits) < len(self._buckets):
                    following = self._buckets[len(self._waits)]
                    if following.missing:
                        break
                    self._send(following)

        return made

    def _send(self, bucket: _Bucket) -> None:
        self._waits.append(self._processes.start_sum(bucket.flat))


def _divide(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Divide into buckets, each of one dtype on one device."""
    unfilled: dict[tuple[torch.device, torch.dtype], list[nn.Parameter]] = {}
    buckets: list[list[nn.Parameter]] = []
    for parameter in parameters:
        key = parameter.device, parameter.dtype
        bucket = unfilled.setdefault(key, [])
        if not bucket:
            buckets.append(bucket)
        bucket.append(parameter)
        if sum(each.numel() * each.element_size() for each in bucket) >= BUCKET_BYTES:
            del unfilled[key]
    return buckets
