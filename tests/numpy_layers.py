"""The layers of the network of 2012 a second time, in plain NumPy, forward and backward.

They share no code with alexrep and are written from the paper and from facts about the released
source and Caffe. Each function returns a layer's output, and a function from the gradient of
that output to the gradients of what the layer read.

Shapes: N images, C maps, H rows, W columns, U units.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Back = Callable[[Floats], Floats]
BackToAll = Callable[[Floats], tuple[Floats, Floats, Floats]]
"""From the gradient of the output to those of the input, the weight and the bias."""


def overhang(side: int, size: int, stride: int) -> int:
    """Return how far the last of 1 + ceil((side - size) / stride) windows hangs over the edge."""
    return -(side - size) % stride


def windows(maps: Floats, size: int, stride: int) -> Floats:
    """View the full windows of (..., H, W) as (..., rows, columns, size, size)."""
    return sliding_window_view(maps, (size, size), (-2, -1))[..., ::stride, ::stride, :, :]


def spread(values: Callable[[int, int], Floats], maps: Floats, size: int, stride: int) -> Floats:
    """Add `values(i, j)`, one for cell (i, j) of each window, to the places they were read from."""
    total = np.zeros_like(maps)
    for i, j in np.ndindex(size, size):
        cells = values(i, j)
        rows, columns = (stride * num for num in cells.shape[-2:])
        total[..., i : i + rows : stride, j : j + columns : stride] += cells
    return total


def convolution(
    maps: Floats, weight: Floats, bias: Floats, stride: int = 1, padding: int = 0, groups: int = 1
) -> tuple[Floats, BackToAll]:
    """Convolve (N, C, H, W) with kernels (O, C / groups, size, size) to (N, O, rows, columns).

    Each group of kernels reads a group of the maps. Where the last window needs more than there
    is, zeros follow at the right and at the bottom only.
    """
    size = weight.shape[-1]
    edges = [(padding, padding + overhang(s + 2 * padding, size, stride)) for s in maps.shape[2:]]
    grouped = np.pad(maps, [(0, 0), (0, 0), *edges])
    grouped = grouped.reshape(len(maps), groups, -1, *grouped.shape[2:])
    kernels = weight.reshape(groups, -1, *weight.shape[1:])
    read = windows(grouped, size, stride)
    sums = np.einsum("ngcyxij,gocij->ngoyx", read, kernels, optimize=True)

    def back(gradient: Floats) -> tuple[Floats, Floats, Floats]:
        own = gradient.reshape(sums.shape)
        to_kernels = np.einsum("ngoyx,ngcyxij->gocij", own, read, optimize=True)
        to_maps = spread(
            lambda i, j: np.einsum("ngoyx,goc->ngcyx", own, kernels[..., i, j], optimize=True),
            grouped,
            size,
            stride,
        )
        rows, columns = (slice(padding, padding + side) for side in maps.shape[2:])
        inner = to_maps[..., rows, columns].reshape(maps.shape)
        return inner, to_kernels.reshape(weight.shape), gradient.sum((0, 2, 3))

    return sums.reshape(len(maps), -1, *sums.shape[3:]) + bias[:, None, None], back


def fully_connected(maps: Floats, weight: Floats, bias: Floats) -> tuple[Floats, BackToAll]:
    """Multiply units, or maps in the order map, row, column, by (U, units read)."""
    units = maps.reshape(len(maps), -1)

    def back(gradient: Floats) -> tuple[Floats, Floats, Floats]:
        return (gradient @ weight).reshape(maps.shape), gradient.T @ units, gradient.sum(0)

    return units @ weight.T + bias, back


def max_pool(maps: Floats) -> tuple[Floats, Back]:
    """Take the largest of 3 x 3 cells at stride 2; the last window may hang over the edge.

    The gradient of a window goes to one cell: of equal ones to the first in the order of rows,
    as in torch. In the released source it goes to each of them.
    """
    rows, columns = maps.shape[2:]
    edges = [(0, 0), (0, 0), (0, overhang(rows, 3, 2)), (0, overhang(columns, 3, 2))]
    padded = np.pad(maps, edges, constant_values=-np.inf)
    cells = windows(padded, 3, 2)
    cells = cells.reshape(*cells.shape[:4], 9)
    chosen = cells.argmax(-1)

    def back(gradient: Floats) -> Floats:
        total = spread(lambda i, j: gradient * (chosen == 3 * i + j), padded, 3, 2)
        return total[..., :rows, :columns]

    return cells.max(-1), back


def window_sum(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Sum over the five nearest along each of `axes`; beyond the ends are zeros."""
    for axis in axes:
        edges = [(2, 2) if number == axis else (0, 0) for number in range(values.ndim)]
        values = sliding_window_view(np.pad(values, edges), 5, axis).sum(-1)
    return values


def normalisation(
    values: Floats, axes: tuple[int, ...], alpha: float, k: float
) -> tuple[Floats, Back]:
    """Compute b = a / d^0.75 with d = k + alpha * window sum of a^2.

    db_i/da_j = d_i^-0.75 [i = j] - 0.75 a_i d_i^-1.75 * 2 alpha a_j for j in the window of i.
    """
    divisor = k + alpha * window_sum(values**2, axes)

    def back(gradient: Floats) -> Floats:
        through = window_sum(gradient * values * divisor**-1.75, axes)
        return gradient * divisor**-0.75 - 1.5 * alpha * values * through

    return values * divisor**-0.75, back


def across_maps(maps: Floats, num_groups: int, alpha: float, k: float) -> tuple[Floats, Back]:
    """Normalise over five neighbouring maps of the same group."""
    groups = maps.reshape(len(maps), num_groups, -1, *maps.shape[2:])
    out, back = normalisation(groups, (2,), alpha, k)
    return out.reshape(maps.shape), lambda g: back(g.reshape(groups.shape)).reshape(maps.shape)


def within_map(maps: Floats) -> tuple[Floats, Back]:
    """Normalise over 5 x 5 cells of the same map."""
    return normalisation(maps, (2, 3), 0.001 / 25, 1.0)


def relu(values: Floats) -> tuple[Floats, Back]:
    """Return what is above zero; at zero no gradient passes."""
    return np.maximum(values, 0), lambda gradient: gradient * (values > 0)


def tanh(values: Floats) -> tuple[Floats, Back]:
    """Return the hyperbolic tangent."""
    out = np.tanh(values)
    return out, lambda gradient: gradient * (1 - out**2)


def dropout(units: Floats, mask: Floats | None, is_inverted: bool) -> tuple[Floats, Back]:
    """Multiply by a mask of zeros and ones, and in evaluation, without one, by 0.5.

    The inverted form multiplies by twice as much: by 0 or 2, and by 1.
    """
    factor = (np.full(1, 0.5) if mask is None else mask) * (2 if is_inverted else 1)
    return units * factor, lambda gradient: gradient * factor
