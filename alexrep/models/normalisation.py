"""The two normalisations of the 2012 network: across neighbouring maps, and within a map.

Shapes: N images, C maps (kernels) that are normalised together, H rows, W columns.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from alexrep.kernels import choice

PART_BYTES = 2**19
"""Bytes of the maps, in float32, that are normalised at a time on a CPU. A quarter less time of a
normalisation at full width than all at once, and the same bits."""
WORTH_BYTES = 2**22
"""Bytes from which on it is worth it: less is in the cache anyway."""

ACROSS = "normalisation across maps"
WITHIN = "normalisation within maps"
"""Names of their fused kernels."""

CONSTANTS = {"code": (1e-4, 2.0), "paper": (5e-4, 2.0), "caffe": (1e-4, 1.0)}
"""Scale and base across maps: the released source's, the paper's letter, Caffe's defaults."""


def normalise_across_maps(
    maps: Tensor, size: int = 5, scale: float = 1e-4, base: float = 2.0
) -> Tensor:
    """Divide each value by what the `size` nearest maps hold at the same place.

    b_i = a_i * (k + alpha / n * sum of a_j^2 over |j - i| <= n // 2)^-0.75 with n = `size`,
    alpha = `scale`, k = `base`; the window is clipped at the first and the last map.

    Departure: the paper puts alpha on the sum itself; the released source, whose errors the
    paper reports, divides alpha by n first. Pass scale=5e-4 for the paper's letter.

    Args:
        maps: Floating point, (N, C, H, W), or groups (N, G, C, H, W) that do not see each other.
        size: Maps in the window; odd.
        scale: The paper's alpha, before the division by `size`.
        base: The paper's k.

    Returns:
        The normalised maps, same shape and dtype; half precisions are computed in float32.

    Raises:
        ValueError: If `size` is even.

    Source: Krizhevsky et al. 2012, section 3.3; constants of the released source. The same as
        `torch.nn.LocalResponseNorm(5, 1e-4, 0.75, k=2)`, in a third of its time on a CPU.
    """
    return _normalise(maps, (-3,), size, scale / size, base)


def normalise_within_map(
    maps: Tensor, size: int = 5, scale: float = 0.001, base: float = 1.0
) -> Tensor:
    """Divide each value by what its own map holds in the `size` x `size` square around it.

    b = a * (`base` + `scale` / size^2 * sum of a^2 over the square)^-0.75; the square is clipped
    at the borders of the map.

    Args:
        maps: Floating point, (N, C, H, W).
        size: Side of the square, in cells; odd.
        scale: Factor on the mean square, counting cells beyond the border as zero.
        base: Value of the bracket where the map is zero.

    Returns:
        The normalised maps, (N, C, H, W), same dtype; half precisions are computed in float32.

    Raises:
        ValueError: If `size` is even.

    Source: not in the paper; conv2 of the released source's net 145.
    """
    return _normalise(maps, (-2, -1), size, scale / size**2, base)


class AcrossMaps(nn.Module):
    """`normalise_across_maps` as a layer."""

    def __init__(self, constants: str = "code") -> None:
        """Take the constants "code", "paper" or "caffe"."""
        super().__init__()
        self.scale, self.base = CONSTANTS[constants]

    def forward(self, maps: Tensor, own: slice = slice(None)) -> Tensor:
        """Normalise `maps` (N, C, H, W), or groups of them (N, G, C, H, W); return those of `own`.

        The others are only seen.
        """
        return normalise_across_maps(maps, scale=self.scale, base=self.base)[:, own]

    def extra_repr(self) -> str:
        """Show the constants."""
        return f"scale={self.scale:g}, base={self.base:g}"


class WithinMap(nn.Module):
    """`normalise_within_map` with the released source's constants, as a layer."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise `maps` (N, C, H, W)."""
        return normalise_within_map(maps)


def _normalise(
    maps: Tensor, axes: tuple[int, ...], size: int, factor: float, base: float
) -> Tensor:
    if size % 2 == 0:
        raise ValueError(f"size: expected an odd number, found {size}; the window has a centre")
    if torch.compiler.is_compiling():
        return _formula(maps, axes, size // 2, factor, base)
    if (kernel := _kernel(maps, axes, size)) is not None:
        return kernel(maps, factor, base)
    out: Tensor = _Normalise.apply(maps, axes, size // 2, factor, base)
    return out


def _kernel(maps: Tensor, axes: tuple[int, ...], size: int) -> Callable[..., Tensor] | None:
    """Return the fused kernel that computes this, if one does and may run here."""
    if not choice.is_fused(ACROSS if axes == (-3,) else WITHIN, maps):
        return None
    from alexrep.kernels import across_maps, within_map  # noqa: PLC0415 (Triton is not everywhere)

    kernel = across_maps if axes == (-3,) else within_map
    return kernel.normalise if size == kernel.SIZE and kernel.takes(maps) else None


def _try_across_maps(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Compute a small example by the kernel and by the plain form, both ways."""
    from alexrep.kernels import across_maps  # noqa: PLC0415 (Triton is not everywhere)

    pairs = []
    values = torch.arange(2 * 10 * 11 * 9, device=device).sin().mul(60).view(2, 10, 11, 9)
    grouped = values.contiguous(memory_format=torch.channels_last).unflatten(1, (2, 5))
    for example in (values, values.bfloat16(), grouped, grouped.bfloat16()):
        maps = example.detach().requires_grad_()
        out = across_maps.normalise(maps, 2e-5, 2.0), normalise_across_maps(maps)
        gradient = example.roll(1, 0)
        pairs += [out, *zip(*(torch.autograd.grad(o, maps, gradient) for o in out), strict=True)]
    return pairs


def _try_within_map(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Do the same for the kernel within maps."""
    from alexrep.kernels import within_map  # noqa: PLC0415 (Triton is not everywhere)

    values = torch.arange(15 * 3 * 9, device=device).sin().mul(60).view(1, 15, 3, 9)
    pairs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        for dtype in (torch.float32, torch.bfloat16):
            maps = values.to(dtype, memory_format=layout).detach().requires_grad_()
            out = within_map.normalise(maps, 0.001 / 25, 1.0), normalise_within_map(maps)
            gradient = values.to(dtype).roll(1, 1)
            ways = (torch.autograd.grad(each, maps, gradient) for each in out)
            pairs += [out, *zip(*ways, strict=True)]
    return pairs


choice.register(ACROSS, _try_across_maps)
choice.register(WITHIN, _try_within_map)


def _formula(maps: Tensor, axes: tuple[int, ...], reach: int, factor: float, base: float) -> Tensor:
    """Compute the same without a change in place, for a compiler to fuse and differentiate.

    Torch's own makes one pass over the data of it each way, and two within a map.
    """
    wide = _wide(maps)
    total = wide * wide
    for axis in axes:
        total = _shifted_sum(total, axis, reach)
    divisor = total * factor + base
    return (wide * torch.rsqrt(divisor * divisor.sqrt())).to(maps.dtype)


def _shifted_sum(values: Tensor, axis: int, reach: int) -> Tensor:
    """Compute the same as `_window_sum`, without a change in place.

    Each term starts from `values`: one padded array that all terms read would be written out.
    """
    total, length = values, values.shape[axis]
    for shift in range(1, min(reach + 1, length)):
        kept, others = length - shift, (0, 0) * (-axis - 1)
        total = total + functional.pad(values.narrow(axis, 0, kept), (*others, shift, 0))
        total = total + functional.pad(values.narrow(axis, shift, kept), (*others, 0, shift))
    return total


class _Normalise(torch.autograd.Function):
    """a * d^-0.75 with d = base + factor * window sum of a^2.

    The gradient is written out because automatic differentiation keeps and fills six
    arrays of the maps' size where two are enough: three to four times the time.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (attributes are added to it)
        maps: Tensor,
        axes: tuple[int, ...],
        reach: int,
        factor: float,
        base: float,
    ) -> Tensor:
        if _is_small(maps):
            out, divisors = _divide(maps, axes, reach, factor, base)
        else:
            out, divisors = torch.empty_like(maps), torch.empty_like(_wide(maps))
            for part, *places in _parts(maps, out, divisors):
                computed = _divide(part, axes, reach, factor, base)
                for place, values in zip(places, computed, strict=True):
                    place.copy_(values)
        ctx.save_for_backward(maps, divisors)
        ctx.window = axes, reach, factor
        return out

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 (attributes are added to it)
        gradient: Tensor,
    ) -> tuple[Tensor | None, ...]:
        maps, divisors = ctx.saved_tensors
        axes, reach, factor = ctx.window
        if _is_small(maps):
            return _undivide(maps, divisors, gradient, axes, reach, factor), None, None, None, None
        out = torch.empty_like(maps)
        for part, divisor, given, place in _parts(maps, divisors, gradient, out):
            place.copy_(_undivide(part, divisor, given, axes, reach, factor))
        return out, None, None, None, None


def _divide(
    maps: Tensor, axes: tuple[int, ...], reach: int, factor: float, base: float
) -> tuple[Tensor, Tensor]:
    """Return the normalised maps, and the divisors before their power."""
    wide = _wide(maps)
    divisor = _window_sum(wide * wide, axes, reach).mul_(factor).add_(base)
    return _power(divisor).mul_(wide).to(maps.dtype), divisor


def _undivide(
    maps: Tensor,
    divisor: Tensor,
    gradient: Tensor,
    axes: tuple[int, ...],
    reach: int,
    factor: float,
) -> Tensor:
    """Return the gradient of `maps`."""
    wide = _wide(maps)
    direct = _power(divisor).mul_(gradient)
    # The window is symmetric, so the sum over the outputs that a value divides
    # is again a window sum.
    through = _window_sum((direct * wide).div_(divisor), axes, reach)
    direct.addcmul_(through, wide, value=-1.5 * factor)
    return direct.to(maps.dtype)


def _is_small(maps: Tensor) -> bool:
    """Tell whether all images are normalised at once: on a GPU, or where they fit the cache."""
    return maps.device.type != "cpu" or 4 * maps.numel() < WORTH_BYTES


def _parts(*arrays: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Divide into few images at a time, whose intermediate arrays stay in the cache of a CPU."""
    first = arrays[0]
    num = max(1, PART_BYTES * len(first) // (4 * first.numel()))
    return zip(*(array.split(num) for array in arrays), strict=True)


def _wide(maps: Tensor) -> Tensor:
    """Return `maps` in at least float32: float16 squares overflow at 256 grey levels."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _power(divisor: Tensor) -> Tensor:
    """Return divisor^-0.75 as a new tensor; two roots in place cost a fraction of a power."""
    return divisor.sqrt().mul_(divisor).rsqrt_()


def _window_sum(values: Tensor, axes: tuple[int, ...], reach: int) -> Tensor:
    """Sum over the clipped window of 2 `reach` + 1 cells along each of `axes`."""
    for axis in axes:
        length = values.shape[axis]
        total = values.clone()
        for shift in range(1, min(reach + 1, length)):
            kept = length - shift
            total.narrow(axis, shift, kept).add_(values.narrow(axis, 0, kept))
            total.narrow(axis, 0, kept).add_(values.narrow(axis, shift, kept))
        values = total
    return values
