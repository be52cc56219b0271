"""Locally connected layers, against a loop over positions and against a convolution."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from alexrep.models.cifar.locally_connected import LocallyConnected2d


def drawn(layer: LocallyConnected2d) -> LocallyConnected2d:
    """Give `layer` values in float64, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.double().parameters():
        nn.init.normal_(parameter, generator=generator)
    return layer


def some_maps(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_each_place_has_its_own_kernel_and_bias(size: int) -> None:
    layer, maps = drawn(LocallyConnected2d(3, 4, 5, size)), some_maps(2, 3, 5, 5)
    padded = functional.pad(maps, (size // 2,) * 4)
    out = layer(maps)
    for y in range(5):
        for x in range(5):
            kernels = layer.weight[5 * y + x].view(size, size, 3, 4)
            seen = padded[:, :, y : y + size, x : x + size]
            expected = torch.einsum("ncyx,yxco->no", seen, kernels) + layer.bias[:, y, x]
            torch.testing.assert_close(out[:, :, y, x], expected)


def test_with_equal_kernels_everywhere_it_is_a_convolution() -> None:
    layer, maps = drawn(LocallyConnected2d(3, 4, 6)), some_maps(2, 3, 6, 6)
    kernels, bias = layer.weight.data[:1], layer.bias.data[:, :1, :1]
    layer.weight.data.copy_(kernels.expand_as(layer.weight))
    layer.bias.data.copy_(bias.expand_as(layer.bias))
    shared = kernels.view(3, 3, 3, 4).permute(3, 2, 0, 1)
    expected = functional.conv2d(maps, shared, bias.flatten(), padding=1)
    torch.testing.assert_close(layer(maps), expected)


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_are_right(size: int) -> None:
    layer = drawn(LocallyConnected2d(2, 3, 3, size))

    def run(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        values = {"weight": weight, "bias": bias}
        out: Tensor = torch.func.functional_call(layer, values, (maps,))
        return out

    inputs = (some_maps(2, 2, 3, 3).requires_grad_(), layer.weight, layer.bias)
    assert torch.autograd.gradcheck(run, inputs)


def test_the_layout_in_memory_changes_no_value() -> None:
    layer, maps = drawn(LocallyConnected2d(3, 4, 6)), some_maps(2, 3, 6, 6)
    last = maps.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(last), layer(maps), rtol=0, atol=0)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="size: expected an odd number, found 2"):
        LocallyConnected2d(1, 1, 4, size=2)


def test_maps_of_another_side_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[4, 4\] cells, found \[5, 5\]"):
        LocallyConnected2d(1, 1, 4)(torch.zeros(1, 1, 5, 5))
