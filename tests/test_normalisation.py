"""The two normalisations, against known answers, direct loops and torch's own."""

import pytest
import torch
from torch import Tensor, nn

from alexrep.models.normalisation import (
    AcrossMaps,
    WithinMap,
    normalise_across_maps,
    normalise_within_map,
)


def some_maps(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return maps of tens of grey levels, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    return 60 * torch.randn(*shape, generator=generator, dtype=dtype)


def test_a_hundred_everywhere_gives_the_source_table_across_maps() -> None:
    out = AcrossMaps()(torch.full((1, 48, 2, 2), 100.0))[0, :, 1, 1]
    assert out[[0, 1, 2, 24, 46, 47]].tolist() == pytest.approx(
        [48.8394, 46.1989, 43.8691, 43.8691, 46.1989, 48.8394], abs=5e-5
    )


def test_a_hundred_everywhere_gives_the_paper_table_when_alpha_is_on_the_sum() -> None:
    out = normalise_across_maps(torch.full((1, 48, 1, 1), 100.0), scale=5e-4)
    assert out[0, :3, 0, 0].tolist() == pytest.approx([29.9070, 26.0847, 23.2368], abs=5e-5)


def test_a_hundred_everywhere_gives_the_source_table_within_a_map() -> None:
    out = WithinMap()(torch.full((1, 3, 13, 13), 100.0))
    assert out[0, 2, 0, 12].item() == pytest.approx(31.8370, abs=5e-5)
    assert out[0, 2, 6, 6].item() == pytest.approx(16.5560, abs=5e-5)


def test_small_maps_are_scaled_by_a_constant() -> None:
    out = normalise_across_maps(torch.full((1, 48, 1, 1), 1e-3))
    assert out[0, 9, 0, 0].item() == pytest.approx(0.5946e-3, rel=1e-4)


def test_across_maps_equals_a_direct_loop() -> None:
    maps = some_maps(2, 7, 3, 3)
    expected = torch.empty_like(maps)
    for i in range(7):
        near = maps[:, max(0, i - 2) : min(6, i + 2) + 1]
        expected[:, i] = maps[:, i] * (2 + 1e-4 / 5 * near.square().sum(1)) ** -0.75
    torch.testing.assert_close(normalise_across_maps(maps), expected)


def test_within_map_equals_a_direct_loop() -> None:
    maps = some_maps(2, 3, 6, 7)
    expected = torch.empty_like(maps)
    for y in range(6):
        for x in range(7):
            square = maps[:, :, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].square()
            divisor = 1 + 0.001 / 25 * square.sum((2, 3))
            expected[:, :, y, x] = maps[:, :, y, x] * divisor**-0.75
    torch.testing.assert_close(normalise_within_map(maps), expected)


def test_across_maps_equals_torch_with_the_source_constants() -> None:
    maps = some_maps(2, 48, 5, 5, dtype=torch.float32)
    peer = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2)
    torch.testing.assert_close(normalise_across_maps(maps), peer(maps))


@pytest.mark.parametrize("shape", [(2, 6, 2, 3), (1, 1, 2, 2), (1, 2, 7, 1)])
@pytest.mark.parametrize("normalise", [normalise_across_maps, normalise_within_map])
def test_gradients_are_right(normalise: nn.Module, shape: tuple[int, ...]) -> None:
    assert torch.autograd.gradcheck(normalise, some_maps(*shape).requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_neither_overflow_nor_drift(dtype: torch.dtype) -> None:
    maps = (20 * some_maps(1, 6, 4, 4)).to(dtype).requires_grad_()
    out = normalise_across_maps(maps)
    torch.autograd.backward(out.sum())
    assert maps.grad is not None
    assert maps.grad.dtype == out.dtype == dtype
    exact = normalise_across_maps(maps.detach().double())
    torch.testing.assert_close(out.double(), exact, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("normalise", [normalise_across_maps, normalise_within_map])
def test_an_even_window_is_refused(normalise: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected an odd number, found 4"):
        normalise(torch.zeros(1, 6, 2, 2), size=4)
