"""What all kernels share: how many programs they take, and which values each computes."""

from typing import Any, Protocol

import torch
import triton
import triton.language as tl
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""Types that kernels read and write; they compute in float32."""
LARGEST = 2**31 - 2**20
"""Values that are counted in 32 bits, with room for the last program's; more take 64."""


class Saving(Protocol):
    """What autograd hands from the forward pass to the backward pass."""

    saved_tensors: tuple[Tensor, ...]
    numbers: tuple[Any, ...]
    """Arguments that are no tensors."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors."""


def blocks(num: int, block: int) -> tuple[int]:
    """Return the grid of programs for `num` values, `block` in each."""
    return (-(-num // block),)


def laid_out_as(like: Tensor, values: Tensor) -> Tensor:
    """Return `values` as they are if they lie in memory as `like` does, else a copy that does."""
    if values.stride() == like.stride():
        return values
    return torch.empty_like(like, dtype=values.dtype).copy_(values)


@triton.jit
def places_of(WIDE: tl.constexpr, BLOCK: tl.constexpr) -> tl.tensor:
    """Return which values this program computes; the last of them may not exist."""
    start = tl.program_id(0)
    if WIDE:
        start = start.to(tl.int64)
    return start * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def relu(values: tl.tensor) -> tl.tensor:
    """Let NaN pass, as torch does; `tl.maximum` gives 0 for it."""
    return tl.where(values < 0, 0.0, values)


@triton.jit
def lost(gradient: tl.tensor, values: tl.tensor, divisor: tl.tensor) -> tl.tensor:
    """Compute gradient * value * divisor^-1.75, by two roots and no division.

    What a normalisation's gradient loses by its divisors is a window's sum of it.
    """
    root = tl.sqrt(divisor)
    power = tl.rsqrt(root * divisor)
    return power * gradient * values * (power * power * root)
