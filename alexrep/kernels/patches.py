"""Kernel of `feed.augment.augment` without a list of steps: stored pixels to network input.

Shapes: N images of a batch, S side of the stored images, P side of the patch, M margin.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from alexrep.kernels.launch import LARGEST, blocks, places_of

BLOCK = 1024


@torch.library.custom_op("alexrep::patches", mutates_args=())
def make(
    images: Tensor,
    corners: Tensor,
    mean: Tensor,
    shift: Tensor | None,
    factors: Tensor | None,
    side: int,
    margin: int,
    follows: bool,
    divisor: float,
    is_bgr: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Cut, reflect, subtract the mean, add the noise and divide, scale, round, pad.

    Args:
        images: uint8 (N, S, S, 3), without gaps.
        corners: Row and column of each patch's corner, and 1 where it is reflected, int64 (N, 3).
        mean: What is subtracted, float32, (P, P, 3); with `follows`, (S, S, 3).
        shift: Colour noise of each image, float32 (N, 3); None: nothing is divided, either.
        factors: What is multiplied, over a row, float32 (3 P,).
        side: P.
        margin: Columns and rows of zeros at the right and at the bottom.
        follows: Whether each patch has its own part of the mean, reflected with it.
        divisor: What is divided by after the noise.
        is_bgr: Whether the input's channels are the stored ones in reverse.
        dtype: float32 or bfloat16; all is computed in float32.

    Returns:
        (N, P + M, P + M, 3).
    """
    out: Tensor = _empty(
        images, corners, mean, shift, factors, side, margin, follows, divisor, is_bgr, dtype
    )
    num = out.numel()
    if num:
        is_wide = max(num, images.numel()) > LARGEST
        # Pointers must be there, read or not.
        tables = mean if shift is None else shift, mean if factors is None else factors
        flags = follows, is_bgr, shift is not None, factors is not None, is_wide, BLOCK
        numbers = num, divisor, images.shape[1], side, side + margin
        with torch.cuda.device_of(images):
            _make[blocks(num, BLOCK)](images, corners, mean, *tables, out, *numbers, *flags)
    return out


@make.register_fake
def _empty(
    images: Tensor,
    corners: Tensor,
    mean: Tensor,
    shift: Tensor | None,
    factors: Tensor | None,
    side: int,
    margin: int,
    follows: bool,
    divisor: float,
    is_bgr: bool,
    dtype: torch.dtype,
) -> Tensor:
    wide = side + margin
    return torch.empty(len(corners), wide, wide, 3, dtype=dtype, device=images.device)


@triton.jit
def _make(
    images: tl.tensor,
    corners: tl.tensor,
    mean: tl.tensor,
    shift: tl.tensor,
    factors: tl.tensor,
    out: tl.tensor,
    num: tl.tensor,
    divisor: tl.tensor,
    STORED: tl.constexpr,
    SIDE: tl.constexpr,
    PADDED: tl.constexpr,
    FOLLOWS: tl.constexpr,
    IS_BGR: tl.constexpr,
    IS_NOISY: tl.constexpr,
    IS_SCALED: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    places = places_of(WIDE, BLOCK)
    channel = places % 3
    column = (places // 3) % PADDED
    row = (places // (3 * PADDED)) % PADDED
    image = places // (3 * PADDED * PADDED)
    inside = places < num
    seen = inside & (column < SIDE) & (row < SIDE)
    top = tl.load(corners + image * 3, mask=seen, other=0).to(tl.int32)
    left = tl.load(corners + image * 3 + 1, mask=seen, other=0).to(tl.int32)
    mirrored = tl.load(corners + image * 3 + 2, mask=seen, other=0) != 0
    stored = left + tl.where(mirrored, SIDE - 1 - column, column)
    colour = 2 - channel if IS_BGR else channel
    start = image * (STORED * STORED * 3)
    pixel = start + ((top + row) * STORED + stored) * 3 + colour
    values = tl.load(images + pixel, mask=seen, other=0).to(tl.float32)
    if FOLLOWS:
        place = ((top + row) * STORED + stored) * 3 + channel
    else:
        place = (row * SIDE + column) * 3 + channel
    values -= tl.load(mean + place, mask=seen, other=0.0)
    if IS_NOISY:
        values += tl.load(shift + image * 3 + channel, mask=seen, other=0.0)
        values = tl.div_rn(values, divisor)
    if IS_SCALED:
        values *= tl.load(factors + column * 3 + channel, mask=seen, other=0.0)
    values = tl.where(seen, values, 0.0)
    tl.store(out + places, values.to(out.dtype.element_ty), mask=inside)
