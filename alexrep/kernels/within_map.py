"""Kernels of `models.normalisation.normalise_within_map`: one pass each way, down the columns.

Shapes: N images, C maps, H rows, W columns.
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
)

SIZE = 5
"""Side of the square window; the kernels know no other."""
BLOCK = 128


def takes(maps: Tensor) -> bool:
    """Tell whether the kernels know the type and layout of maps (N, C, H, W)."""
    if maps.dtype not in DTYPES or maps.dim() != 4:
        return False
    return maps.is_contiguous() or maps.is_contiguous(memory_format=torch.channels_last)


@torch.library.custom_op("alexrep::within_map", mutates_args=())
def normalise(maps: Tensor, factor: float, base: float) -> Tensor:
    """Normalise each value by the square of its own map around it.

    Args:
        maps: float32, bfloat16 or float16, (N, C, H, W); see `takes`.
        factor: Factor on the sum of squares.
        base: Value of the divisor where the map is zero.

    Returns:
        The normalised maps, of the same shape, type and layout, computed in float32.
    """
    out = torch.empty_like(maps)
    if maps.numel():
        grid = blocks(maps.numel() // maps.shape[2], BLOCK)
        with torch.cuda.device_of(maps):
            _forward[grid](maps, out, *_numbers(maps, factor, base))
    return out


@torch.library.custom_op("alexrep::within_map_backward", mutates_args=())
def gradient_of(gradient: Tensor, maps: Tensor, factor: float, base: float) -> Tensor:
    """Return the gradient of `maps` for that of the outcome, which lies as they do.

    The divisors are computed anew, as nothing but the maps is kept for it.
    """
    out = torch.empty_like(maps)
    if maps.numel():
        grid = blocks(maps.numel() // maps.shape[2], BLOCK)
        with torch.cuda.device_of(maps):
            _backward[grid](gradient, maps, out, *_numbers(maps, factor, base))
    return out


@normalise.register_fake
def _like(maps: Tensor, factor: float, base: float) -> Tensor:
    return torch.empty_like(maps)


@gradient_of.register_fake
def _like_maps(gradient: Tensor, maps: Tensor, factor: float, base: float) -> Tensor:
    return torch.empty_like(maps)


def _save(ctx: Saving, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.numbers = inputs[1:]


def _go_back(ctx: Saving, gradient: Tensor) -> tuple[Tensor | None, ...]:
    (maps,) = ctx.saved_tensors
    return gradient_of(laid_out_as(maps, gradient), maps, *ctx.numbers), None, None


normalise.register_autograd(_go_back, setup_context=_save)


def _numbers(
    maps: Tensor, factor: float, base: float
) -> tuple[int, float, float, int, int, int, bool, int]:
    """Return what the kernels take after their tensors."""
    _, num_maps, rows, columns = maps.shape
    step = 1 if maps.is_contiguous() else num_maps
    is_wide = maps.numel() > LARGEST
    return maps.numel() // rows, factor, base, step, rows, columns, is_wide, BLOCK


@triton.jit
def _read(
    maps: tl.tensor,
    start: tl.tensor,
    column: tl.tensor,
    row: tl.tensor,
    inside: tl.tensor,
    SHIFT: tl.constexpr,
    STEP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> tl.tensor:
    """Read a row's values `SHIFT` columns further; zeros beyond the borders of the map."""
    seen = inside & (column + SHIFT >= 0) & (column + SHIFT < COLUMNS) & (row >= 0) & (row < ROWS)
    place = start + row * (COLUMNS * STEP) + SHIFT * STEP
    return tl.load(maps + place, mask=seen, other=0.0).to(tl.float32)


@triton.jit
def _forward(
    maps: tl.tensor,
    out: tl.tensor,
    num: tl.tensor,
    factor: tl.tensor,
    base: tl.tensor,
    STEP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Go down a column of a map, with the squares' sums of five rows at hand."""
    places = places_of(WIDE, BLOCK)
    inside = places < num
    start = (places // (COLUMNS * STEP)) * (ROWS * COLUMNS * STEP) + places % (COLUMNS * STEP)
    column = (places // STEP) % COLUMNS
    sum1 = tl.full((BLOCK,), 0.0, tl.float32)
    sum2, sum3, sum4 = sum1, sum1, sum1
    for row in range(ROWS + 2):
        sum0 = tl.full((BLOCK,), 0.0, tl.float32)
        for shift in tl.static_range(-2, 3):
            x = _read(maps, start, column, row, inside, shift, STEP, ROWS, COLUMNS)
            sum0 += x * x
        divisor = (sum0 + sum1 + sum2 + sum3 + sum4) * factor + base
        x = _read(maps, start, column, row - 2, inside, 0, STEP, ROWS, COLUMNS)
        result = tl.rsqrt(tl.sqrt(divisor) * divisor) * x
        place = start + (row - 2) * (COLUMNS * STEP)
        tl.store(out + place, result.to(out.dtype.element_ty), mask=inside & (row >= 2))
        sum4, sum3, sum2, sum1 = sum3, sum2, sum1, sum0


@triton.jit
def _backward(  # noqa: PLR0915 (Triton has no arrays of registers: each has its name)
    gradient: tl.tensor,
    maps: tl.tensor,
    out: tl.tensor,
    num: tl.tensor,
    factor: tl.tensor,
    base: tl.tensor,
    STEP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Go down a column: divisors two rows behind what is read, gradients four rows behind it.

    A letter is one of the five columns around, from the left; its number tells how many rows ago
    a sum of squares was made.
    """
    places = places_of(WIDE, BLOCK)
    inside = places < num
    start = (places // (COLUMNS * STEP)) * (ROWS * COLUMNS * STEP) + places % (COLUMNS * STEP)
    column = (places // STEP) % COLUMNS
    zero = tl.full((BLOCK,), 0.0, tl.float32)
    a1, a2, a3, a4 = zero, zero, zero, zero
    b1, b2, b3, b4 = zero, zero, zero, zero
    c1, c2, c3, c4 = zero, zero, zero, zero
    d1, d2, d3, d4 = zero, zero, zero, zero
    e1, e2, e3, e4 = zero, zero, zero, zero
    lost1, lost2, lost3, lost4 = zero, zero, zero, zero
    power1, power2 = zero, zero
    for row in range(ROWS + 4):
        x0 = _read(maps, start, column, row, inside, -4, STEP, ROWS, COLUMNS)
        x0 = x0 * x0
        x1 = _read(maps, start, column, row, inside, -3, STEP, ROWS, COLUMNS)
        x1 = x1 * x1
        x2 = _read(maps, start, column, row, inside, -2, STEP, ROWS, COLUMNS)
        x2 = x2 * x2
        x3 = _read(maps, start, column, row, inside, -1, STEP, ROWS, COLUMNS)
        x3 = x3 * x3
        x4 = _read(maps, start, column, row, inside, 0, STEP, ROWS, COLUMNS)
        x4 = x4 * x4
        x5 = _read(maps, start, column, row, inside, 1, STEP, ROWS, COLUMNS)
        x5 = x5 * x5
        x6 = _read(maps, start, column, row, inside, 2, STEP, ROWS, COLUMNS)
        x6 = x6 * x6
        x7 = _read(maps, start, column, row, inside, 3, STEP, ROWS, COLUMNS)
        x7 = x7 * x7
        x8 = _read(maps, start, column, row, inside, 4, STEP, ROWS, COLUMNS)
        x8 = x8 * x8
        a0 = x0 + x1 + x2 + x3 + x4
        b0 = x1 + x2 + x3 + x4 + x5
        c0 = x2 + x3 + x4 + x5 + x6
        d0 = x3 + x4 + x5 + x6 + x7
        e0 = x4 + x5 + x6 + x7 + x8
        lost0 = zero
        divisor = (a0 + a1 + a2 + a3 + a4) * factor + base
        g = _read(gradient, start, column, row - 2, inside, -2, STEP, ROWS, COLUMNS)
        x = _read(maps, start, column, row - 2, inside, -2, STEP, ROWS, COLUMNS)
        lost0 += lost(g, x, divisor)
        divisor = (b0 + b1 + b2 + b3 + b4) * factor + base
        g = _read(gradient, start, column, row - 2, inside, -1, STEP, ROWS, COLUMNS)
        x = _read(maps, start, column, row - 2, inside, -1, STEP, ROWS, COLUMNS)
        lost0 += lost(g, x, divisor)
        divisor = (c0 + c1 + c2 + c3 + c4) * factor + base
        g = _read(gradient, start, column, row - 2, inside, 0, STEP, ROWS, COLUMNS)
        x = _read(maps, start, column, row - 2, inside, 0, STEP, ROWS, COLUMNS)
        lost0 += lost(g, x, divisor)
        power0 = tl.rsqrt(tl.sqrt(divisor) * divisor)
        divisor = (d0 + d1 + d2 + d3 + d4) * factor + base
        g = _read(gradient, start, column, row - 2, inside, 1, STEP, ROWS, COLUMNS)
        x = _read(maps, start, column, row - 2, inside, 1, STEP, ROWS, COLUMNS)
        lost0 += lost(g, x, divisor)
        divisor = (e0 + e1 + e2 + e3 + e4) * factor + base
        g = _read(gradient, start, column, row - 2, inside, 2, STEP, ROWS, COLUMNS)
        x = _read(maps, start, column, row - 2, inside, 2, STEP, ROWS, COLUMNS)
        lost0 += lost(g, x, divisor)
        g = _read(gradient, start, column, row - 4, inside, 0, STEP, ROWS, COLUMNS)
        x = _read(maps, start, column, row - 4, inside, 0, STEP, ROWS, COLUMNS)
        through = lost0 + lost1 + lost2 + lost3 + lost4
        result = power2 * g - 1.5 * factor * (through * x)
        place = start + (row - 4) * (COLUMNS * STEP)
        tl.store(out + place, result.to(out.dtype.element_ty), mask=inside & (row >= 4))
        a4, a3, a2, a1 = a3, a2, a1, a0
        b4, b3, b2, b1 = b3, b2, b1, b0
        c4, c3, c2, c1 = c3, c2, c1, c0
        d4, d3, d2, d1 = d3, d2, d1, d0
        e4, e3, e2, e1 = e3, e2, e1, e0
        lost4, lost3, lost2, lost1 = lost3, lost2, lost1, lost0
        power2, power1 = power1, power0
