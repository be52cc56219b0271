"""Locally connected layers: convolutions whose kernels are not shared between places.

Shapes: N images, C maps in, O maps out, S side of the maps, K side of the kernels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class LocallyConnected2d(nn.Module):
    """A convolution of stride 1 with kernels and biases of its own at each place.

    Zeros around the maps keep their side. Parameters: `weight` (S * S, K * K * C, O), places
    and kernel cells row by row, and `bias` (O, S, S).

    On a CPU the form kept here takes 16 ms forward and backward for (128, 64, 8, 8) to 32 maps,
    the one by `functional.unfold` 93 ms, a convolution, which has 1/64 of the kernels, 5 ms.

    Source: layers `local3` and `local4` of cuda-convnet's CIFAR-10 nets.
    """

    def __init__(self, in_maps: int, out_maps: int, side: int, size: int = 3) -> None:
        """Make the layer, its parameters without values.

        Args:
            in_maps: C.
            out_maps: O.
            side: S, in cells.
            size: K, odd, in cells.

        Raises:
            ValueError: If `size` is even.
        """
        super().__init__()
        if size % 2 == 0:
            raise ValueError(f"size: expected an odd number, found {size}; kernels have a centre")
        self.size = size
        self.weight = nn.Parameter(torch.empty(side * side, size * size * in_maps, out_maps))
        self.bias = nn.Parameter(torch.empty(out_maps, side, side))

    def forward(self, maps: Tensor) -> Tensor:
        """Filter `maps` (N, C, S, S) -> (N, O, S, S).

        Raises:
            ValueError: If the maps have another side.
        """
        num_out, *sides = self.bias.shape
        if list(maps.shape[2:]) != sides:
            raise ValueError(f"maps: expected {sides} cells, found {list(maps.shape[2:])}")
        columns: Tensor = _Columns.apply(maps, self.size)
        products = torch.bmm(columns, self.weight).view(*sides, maps.shape[0], num_out)
        return products.permute(2, 3, 0, 1) + self.bias


class _Columns(torch.autograd.Function):
    """What each place's kernel sees: (N, C, S, S) -> (S * S, N, K * K * C).

    The gradient is written out: automatic differentiation fills an array of zeros for each
    cell of the kernel, half of the layer's time.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (attributes are added to it)
        maps: Tensor,
        size: int,
    ) -> Tensor:
        ctx.size, ctx.shape = size, maps.shape
        reach, side = size // 2, maps.shape[2]
        # (S + 2 reach, S + 2 reach, N, C): maps with channels last need no reordering for it.
        padded = functional.pad(maps.permute(2, 3, 0, 1), (0, 0, 0, 0, *4 * (reach,)))
        seen = [padded[y : y + side, x : x + side] for y, x in _cells(size)]
        return torch.cat(seen, dim=3).flatten(0, 1)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 (attributes are added to it)
        gradient: Tensor,
    ) -> tuple[Tensor | None, ...]:
        num, in_maps, side, _ = ctx.shape
        reach = ctx.size // 2
        padded = gradient.new_zeros(side + 2 * reach, side + 2 * reach, num, in_maps)
        seen = gradient.view(side, side, num, -1).split(in_maps, dim=3)
        for (y, x), part in zip(_cells(ctx.size), seen, strict=True):
            padded[y : y + side, x : x + side].add_(part)
        inner = padded[reach : reach + side, reach : reach + side]
        return inner.permute(2, 3, 0, 1), None


def _cells(size: int) -> list[tuple[int, int]]:
    """Return row and column of each cell of a kernel, row by row."""
    return [(y, x) for y in range(size) for x in range(size)]
