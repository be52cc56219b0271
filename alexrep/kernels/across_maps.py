"""Kernels of `models.normalisation.normalise_across_maps`: one pass each way.

Shapes: N images, G groups of maps that do not see each other, C maps of a group, H rows, W columns.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from alexrep.kernels.launch import (
    DTYPES,
    LARGEST,
    Saving,
    blocks,
    laid_out_as,
    lost,
    places_of,
    relu,
)

SIZE = 5
"""Maps in the window; the kernels know no other."""
BLOCK = 512


def takes(maps: Tensor) -> bool:
    """Tell whether the kernels know the type and layout of (N, C, H, W) or (N, G, C, H, W).

    Either the maps or the places come last in memory, without gaps.
    """
    if maps.dtype not in DTYPES or maps.dim() not in (4, 5):
        return False
    return maps.is_contiguous() or _last(maps).is_contiguous()


@torch.library.custom_op("alexrep::across_maps", mutates_args=())
def normalise(maps: Tensor, factor: float, base: float, after_relu: bool = False) -> Tensor:
    """Normalise `maps`, or, with `after_relu`, what a ReLU leaves of them.

    Args:
        maps: float32, bfloat16 or float16, (N, C, H, W) or (N, G, C, H, W); see `takes`.
        factor: The paper's alpha, divided by the maps in the window.
        base: The paper's k.
        after_relu: Whether negative values count as zeros.

    Returns:
        The normalised maps, of the same shape, type and layout, computed in float32.
    """
    out = torch.empty_like(maps)
    if maps.numel():
        with torch.cuda.device_of(maps):
            _forward[blocks(maps.numel(), BLOCK)](
                maps, out, *_numbers(maps, factor, base, after_relu)
            )
    return out


@torch.library.custom_op("alexrep::across_maps_backward", mutates_args=())
def gradient_of(
    gradient: Tensor, maps: Tensor, factor: float, base: float, after_relu: bool
) -> Tensor:
    """Return the gradient of `maps` for that of the outcome, which lies as they do.

    The divisors are computed anew, as nothing but the maps is kept for it.
    """
    out = torch.empty_like(maps)
    if maps.numel():
        numbers = _numbers(maps, factor, base, after_relu)
        with torch.cuda.device_of(maps):
            _backward[blocks(maps.numel(), BLOCK)](gradient, maps, out, *numbers)
    return out


@normalise.register_fake
def _like(maps: Tensor, factor: float, base: float, after_relu: bool = False) -> Tensor:
    return torch.empty_like(maps)


@gradient_of.register_fake
def _like_maps(
    gradient: Tensor,
    maps: Tensor,
    factor: float,
    base: float,
    after_relu: bool,
) -> Tensor:
    return torch.empty_like(maps)


def _save(ctx: Saving, inputs: tuple[Tensor, float, float, bool], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.numbers = inputs[1:]


def _go_back(ctx: Saving, gradient: Tensor) -> tuple[Tensor | None, ...]:
    (maps,) = ctx.saved_tensors
    return gradient_of(laid_out_as(maps, gradient), maps, *ctx.numbers), None, None, None


normalise.register_autograd(_go_back, setup_context=_save)


def _last(maps: Tensor) -> Tensor:
    """Move the maps to the last axis: (N, H, W, C) or (N, H, W, G, C)."""
    return maps.movedim((-2, -1), (1, 2))


def _numbers(
    maps: Tensor, factor: float, base: float, after_relu: bool
) -> tuple[int, float, float, int, int, bool, bool, int]:
    """Return what the kernels take after their tensors."""
    step = maps.shape[-2] * maps.shape[-1] if maps.is_contiguous() else 1
    num = maps.numel()
    return num, factor, base, step, maps.shape[-3], after_relu, num > LARGEST, BLOCK


@triton.jit
def _read(
    maps: tl.tensor,
    places: tl.tensor,
    channel: tl.tensor,
    inside: tl.tensor,
    SHIFT: tl.constexpr,
    STEP: tl.constexpr,
    CHANNELS: tl.constexpr,
    AFTER_RELU: tl.constexpr,
) -> tl.tensor:
    """Read the values `SHIFT` maps further; zeros beyond the first and the last map."""
    seen = inside & (channel + SHIFT >= 0) & (channel + SHIFT < CHANNELS)
    values = tl.load(maps + places + SHIFT * STEP, mask=seen, other=0.0).to(tl.float32)
    if AFTER_RELU:
        values = relu(values)
    return values


@triton.jit
def _divisor(
    own: tl.tensor,
    before: tl.tensor,
    after: tl.tensor,
    before2: tl.tensor,
    after2: tl.tensor,
    factor: tl.tensor,
    base: tl.tensor,
) -> tl.tensor:
    """Compute the divisor before its power, of squares; summed in the order of the plain form."""
    return (own + before + after + before2 + after2) * factor + base


@triton.jit
def _forward(
    maps: tl.tensor,
    out: tl.tensor,
    num: tl.tensor,
    factor: tl.tensor,
    base: tl.tensor,
    STEP: tl.constexpr,
    CHANNELS: tl.constexpr,
    AFTER_RELU: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    places = places_of(WIDE, BLOCK)
    inside = places < num
    channel = (places // STEP) % CHANNELS
    x_2 = _read(maps, places, channel, inside, -2, STEP, CHANNELS, AFTER_RELU)
    x_1 = _read(maps, places, channel, inside, -1, STEP, CHANNELS, AFTER_RELU)
    x0 = _read(maps, places, channel, inside, 0, STEP, CHANNELS, AFTER_RELU)
    x1 = _read(maps, places, channel, inside, 1, STEP, CHANNELS, AFTER_RELU)
    x2 = _read(maps, places, channel, inside, 2, STEP, CHANNELS, AFTER_RELU)
    divisor = _divisor(x0 * x0, x_1 * x_1, x1 * x1, x_2 * x_2, x2 * x2, factor, base)
    result = tl.rsqrt(tl.sqrt(divisor) * divisor) * x0
    tl.store(out + places, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    gradient: tl.tensor,
    maps: tl.tensor,
    out: tl.tensor,
    num: tl.tensor,
    factor: tl.tensor,
    base: tl.tensor,
    STEP: tl.constexpr,
    CHANNELS: tl.constexpr,
    AFTER_RELU: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Gradient of a value: what its own divisor leaves, less what five divisors lose by it.

    The squares of nine maps give the five divisors; each value is read once.
    """
    places = places_of(WIDE, BLOCK)
    inside = places < num
    channel = (places // STEP) % CHANNELS
    x_4 = _read(maps, places, channel, inside, -4, STEP, CHANNELS, AFTER_RELU)
    x_3 = _read(maps, places, channel, inside, -3, STEP, CHANNELS, AFTER_RELU)
    x_2 = _read(maps, places, channel, inside, -2, STEP, CHANNELS, AFTER_RELU)
    x_1 = _read(maps, places, channel, inside, -1, STEP, CHANNELS, AFTER_RELU)
    x0 = _read(maps, places, channel, inside, 0, STEP, CHANNELS, AFTER_RELU)
    x1 = _read(maps, places, channel, inside, 1, STEP, CHANNELS, AFTER_RELU)
    x2 = _read(maps, places, channel, inside, 2, STEP, CHANNELS, AFTER_RELU)
    x3 = _read(maps, places, channel, inside, 3, STEP, CHANNELS, AFTER_RELU)
    x4 = _read(maps, places, channel, inside, 4, STEP, CHANNELS, AFTER_RELU)
    s_2, s_1, s0, s1, s2 = x_2 * x_2, x_1 * x_1, x0 * x0, x1 * x1, x2 * x2
    d_2 = _divisor(s_2, x_3 * x_3, s_1, x_4 * x_4, s0, factor, base)
    d_1 = _divisor(s_1, s_2, s0, x_3 * x_3, s1, factor, base)
    d0 = _divisor(s0, s_1, s1, s_2, s2, factor, base)
    d1 = _divisor(s1, s0, s2, s_1, x3 * x3, factor, base)
    d2 = _divisor(s2, s1, x3 * x3, s0, x4 * x4, factor, base)
    g0 = tl.load(gradient + places, mask=inside, other=0.0).to(tl.float32)
    direct = tl.rsqrt(tl.sqrt(d0) * d0) * g0
    through = lost(g0, x0, d0)
    g = _read(gradient, places, channel, inside, -1, STEP, CHANNELS, False)
    through += lost(g, x_1, d_1)
    g = _read(gradient, places, channel, inside, 1, STEP, CHANNELS, False)
    through += lost(g, x1, d1)
    g = _read(gradient, places, channel, inside, -2, STEP, CHANNELS, False)
    through += lost(g, x_2, d_2)
    g = _read(gradient, places, channel, inside, 2, STEP, CHANNELS, False)
    through += lost(g, x2, d2)
    result = direct - 1.5 * factor * (through * x0)
    if AFTER_RELU:
        result = tl.where(x0 <= 0, 0.0, result)
    tl.store(out + places, result.to(out.dtype.element_ty), mask=inside)
