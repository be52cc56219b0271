"""Kernels of `models.dropout.MaskDropout` in training: the mask is made and applied in one pass.

Shapes: N images, U units of the layer, or C maps of H rows and W columns.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from alexrep.kernels.launch import DTYPES, LARGEST, Saving, blocks, places_of

BLOCK = 1024


def takes(units: Tensor, keys: Tensor) -> bool:
    """Tell whether the kernel knows the type and layout of units (N, U) or (N, C, H, W)."""
    is_whole = units.is_contiguous() and keys.is_contiguous()
    return units.dtype in DTYPES and is_whole and units.device == keys.device


@torch.library.custom_op("alexrep::masked", mutates_args=())
def masked(
    units: Tensor, keys: Tensor, start: int, threshold: int, scale: float, is_half: bool
) -> Tensor:
    """Silence the units that the images' keys choose.

    Args:
        units: float32, bfloat16 or float16, (N, U) or (N, C, H, W); see `takes`.
        keys: One key per image, int64, (N,).
        start: Index of the first unit here, plus the number of the layer times 2^24.
        threshold: A unit of a smaller word is silenced; without meaning where `is_half`.
        scale: What the others are multiplied by.
        is_half: Whether the word's last bit decides instead.

    Returns:
        The masked units, of the same shape, type and layout.
    """
    out = torch.empty_like(units)
    if num := units.numel():
        grid, each = blocks(num, BLOCK), num // len(keys)
        numbers = (num, each, start, threshold, scale, is_half, scale != 1, num > LARGEST, BLOCK)
        with torch.cuda.device_of(units):
            _masked[grid](units, keys, out, *numbers)
    return out


@masked.register_fake
def _like(
    units: Tensor, keys: Tensor, start: int, threshold: int, scale: float, is_half: bool
) -> Tensor:
    return torch.empty_like(units)


def _save(
    ctx: Saving, inputs: tuple[Tensor, Tensor, int, int, float, bool], output: Tensor
) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.numbers = inputs[2:]


def _go_back(ctx: Saving, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Mask the gradient as the units: nothing but the keys is kept for it."""
    (keys,) = ctx.saved_tensors
    # A key for each image, and units that follow each other: as the units lay.
    return masked(gradient.contiguous(), keys, *ctx.numbers), None, None, None, None, None


masked.register_autograd(_go_back, setup_context=_save)


@triton.jit
def _mix(words: tl.tensor) -> tl.tensor:
    """Mix 32-bit words; unsigned, so that products wrap around and shifts bring zeros."""
    words = (words ^ (words >> 16)) * 0x21F0AAAD
    words = (words ^ (words >> 15)) * 0x735A2D97
    return words ^ (words >> 15)


@triton.jit
def _masked(
    units: tl.tensor,
    keys: tl.tensor,
    out: tl.tensor,
    num: tl.tensor,
    each: tl.tensor,
    start: tl.tensor,
    threshold: tl.tensor,
    scale: tl.tensor,
    IS_HALF: tl.constexpr,
    IS_SCALED: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    places = places_of(WIDE, BLOCK)
    inside = places < num
    key = tl.load(keys + places // each, mask=inside, other=0)
    counters = (places % each + start).to(tl.uint32) * 0x9E3779B1
    words = _mix(_mix(key.to(tl.uint32) ^ counters) ^ (key >> 32).to(tl.uint32))
    stays = ((words & 1) != 0) if IS_HALF else (words.to(tl.int64) >= threshold)
    values = tl.load(units + places, mask=inside, other=0.0).to(tl.float32)
    # A product, as in the plain form: what is infinite or no number stays visible.
    values = values * stays.to(tl.float32)
    if IS_SCALED:
        # The plain form rounds the masked units, which are as they were, and then the product.
        values = values * scale
    tl.store(out + places, values.to(out.dtype.element_ty), mask=inside)
