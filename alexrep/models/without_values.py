"""Networks whose parameters have shapes and no values: of any size, in no memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from alexrep.errors import ConfigError, mismatch


class WithoutValues(TorchFunctionMode):
    """Has networks built with parameters that take no memory, on the meta device.

    Other than under `torch.device("meta")`, numbers that a constructor computes with have values.
    """

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 (any function of torch)
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (what that returns)
        """Call `func`, on the meta device if it makes an empty tensor."""
        where = {"device": "meta"} if func in (torch.empty, torch.empty_like) else {}
        return func(*args, **{**(kwargs or {}), **where})


@torch.no_grad()
def run(network: nn.Module, side: int, num_images: int = 1) -> None:
    """Have images without values go through a network, in its present mode; it does not change.

    Args:
        network: Takes images (N, 3, side, side).
        side: Side of the patch, in pixels.
        num_images: N.

    Raises:
        ConfigError: If the network cannot be computed so.
    """
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in state.items()}
    images = torch.empty(num_images, 3, side, side, device="meta")
    try:
        functional_call(network, shapes, (images,))
    except (RuntimeError, ValueError, AssertionError) as error:
        wanted = "one that the network can be computed at"
        found = f"{side} ({(str(error).splitlines() or [type(error).__name__])[0]})"
        raise ConfigError(mismatch("model.side", wanted, found, "take another side")) from None
