"""Kernel of `training.optimiser.Momentum2012`: all parameters of one rate in one launch."""

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def takes(
    parameters: Sequence[Tensor], velocities: Sequence[Tensor], gradients: Sequence[Tensor]
) -> bool:
    """Tell whether the kernel knows the types and layouts: float32 on one device, without gaps."""
    device = parameters[0].device
    return all(
        part.dtype == torch.float32
        and part.device == device
        and part.stride() == parameter.stride()
        for parameter, *parts in zip(parameters, velocities, gradients, strict=True)
        for part in (parameter, *parts)
    ) and all(_is_dense(parameter) for parameter in parameters)


@torch.library.custom_op("alexrep::momentum_2012", mutates_args=("parameters", "velocities"))
def update(
    parameters: list[Tensor],
    velocities: list[Tensor],
    gradients: list[Tensor],
    momentum: float,
    decay: float,
    rate: float,
) -> None:
    """Update parameters and velocities in place: v <- m v - decay w - rate g, w <- w + v.

    Args:
        parameters: The weights; see `takes`.
        velocities: One of each.
        gradients: One of each.
        momentum: Fraction of the last step kept.
        decay: Weight decay times the rate.
        rate: The rate.
    """
    device, trios = parameters[0].device, zip(parameters, velocities, gradients, strict=True)
    addresses = tuple(part.data_ptr() for trio in trios for part in trio)
    sizes = tuple(parameter.numel() for parameter in parameters)
    shares, table = _shares(sizes, device), _table(addresses, device)
    if len(shares):
        with torch.cuda.device_of(parameters[0]):
            _update[len(shares),](table, shares, momentum, -decay, -rate, decay != 0, BLOCK)


@lru_cache(maxsize=64)
def _table(addresses: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the addresses on the device; they are the same in most steps."""
    return torch.tensor(addresses, dtype=torch.int64, device=device)


@lru_cache(maxsize=64)
def _shares(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return what each program updates, int64 (programs, 3): number, start and size of a part."""
    rows = [(k, at, num) for k, num in enumerate(sizes) for at in range(0, num, BLOCK)]
    return torch.tensor(rows, dtype=torch.int64, device=device).view(-1, 3)


def _is_dense(values: Tensor) -> bool:
    """Tell whether the values fill their memory, in any order of axes."""
    strides = sorted(zip(values.stride(), values.shape, strict=True))
    expected = 1
    for stride, length in strides:
        if length > 1 and stride != expected:
            return False
        expected *= length
    return True


@triton.jit
def _update(
    table: tl.tensor,
    shares: tl.tensor,
    momentum: tl.tensor,
    decay: tl.tensor,
    rate: tl.tensor,
    DECAYS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    share = shares + tl.program_id(0) * 3
    row = table + tl.load(share) * 3
    parameters = tl.load(row).to(tl.pointer_type(tl.float32))
    velocities = tl.load(row + 1).to(tl.pointer_type(tl.float32))
    gradients = tl.load(row + 2).to(tl.pointer_type(tl.float32))
    places = tl.load(share + 1) + tl.arange(0, BLOCK)
    inside = places < tl.load(share + 2)
    parameter = tl.load(parameters + places, mask=inside, other=0.0)
    velocity = tl.load(velocities + places, mask=inside, other=0.0) * momentum
    # One rounding for a product and a sum, as in the plain form.
    if DECAYS:
        velocity = tl.fma(parameter, decay, velocity)
    velocity = tl.fma(tl.load(gradients + places, mask=inside, other=0.0), rate, velocity)
    tl.store(velocities + places, velocity, mask=inside)
    tl.store(parameters + places, parameter + velocity, mask=inside)
