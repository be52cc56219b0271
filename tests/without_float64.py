"""A device without float64, as Apple's GPUs are, played by the CPU."""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class WithoutFloat64(TorchDispatchMode):
    """Refuses tensors of float64, as Apple's GPUs do."""

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dtype == torch.float64:
            raise TypeError(f"float64, which MPS has not: {func}")
        return made
