"""The two response normalisations, against known answers, direct loops and torch's own."""

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._inductor import compile_fx, metrics

from alexrep.compute.precision import missing_compiler
from alexrep.models.normalisation import (
    CONSTANTS,
    AcrossMaps,
    WithinMap,
    normalise_across_maps,
    normalise_within_map,
)

TABLES = {
    "code": [48.8394, 46.1989, 43.8691],
    "paper": [29.9070, 26.0847, 23.2368],
    "caffe": [70.2927, 64.3496, 59.4604],
}
"""Output for input 100 in the outermost map, the next and all others, by constants."""

NO_COMPILER = missing_compiler(torch.device("cpu"))

LAYERS = [AcrossMaps("code"), AcrossMaps("paper"), AcrossMaps("caffe"), WithinMap()]


def some_maps(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return maps of tens of grey levels, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    return 60 * torch.randn(*shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize(("constants", "table"), TABLES.items())
def test_a_hundred_everywhere_gives_the_table_across_maps(
    constants: str, table: list[float]
) -> None:
    maps = torch.full((1, 48, 2, 2), 100.0, dtype=torch.float64)
    out = AcrossMaps(constants)(maps)[0, :, 1, 1]
    assert out[[0, 1, 2, 24, 45, 46, 47]].tolist() == pytest.approx(
        [*table, table[2], *reversed(table)], abs=5e-5
    )


def test_a_hundred_everywhere_gives_the_source_table_within_a_map() -> None:
    out = WithinMap()(torch.full((1, 3, 13, 13), 100.0, dtype=torch.float64))
    assert out[0, 2, 0, 12].item() == pytest.approx(31.8370, abs=5e-5)
    assert out[0, 2, 6, 6].item() == pytest.approx(16.5560, abs=5e-5)


def test_small_maps_are_scaled_by_a_constant() -> None:
    out = normalise_across_maps(torch.full((1, 48, 1, 1), 1e-3))
    assert out[0, 9, 0, 0].item() == pytest.approx(0.5946e-3, rel=1e-4)


@pytest.mark.parametrize(("scale", "base"), CONSTANTS.values())
def test_across_maps_equals_a_direct_loop(scale: float, base: float) -> None:
    maps = some_maps(2, 7, 3, 3)
    expected = torch.empty_like(maps)
    for i in range(7):
        near = maps[:, max(0, i - 2) : min(6, i + 2) + 1]
        expected[:, i] = maps[:, i] * (base + scale / 5 * near.square().sum(1)) ** -0.75
    torch.testing.assert_close(normalise_across_maps(maps, scale=scale, base=base), expected)


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


def test_groups_of_maps_do_not_see_each_other() -> None:
    maps = some_maps(2, 6, 3, 3)
    groups = normalise_across_maps(maps.unflatten(1, (2, 3)))
    apart = [normalise_across_maps(half) for half in maps.chunk(2, 1)]
    assert torch.equal(groups.flatten(1, 2), torch.cat(apart, 1))


@pytest.mark.parametrize("shape", [(2, 6, 2, 3), (1, 1, 2, 2), (1, 2, 7, 1)])
@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_right(layer: nn.Module, shape: tuple[int, ...]) -> None:
    assert torch.autograd.gradcheck(layer, some_maps(*shape).requires_grad_())


@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (1, 2, 3, 1)])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_compiler_sees_the_same_function_and_gradient(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    maps, seen = some_maps(*shape).requires_grad_(), some_maps(*shape).requires_grad_()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=False)
    out, known = compiled(seen), layer(maps)
    torch.testing.assert_close(out, known)
    torch.autograd.backward([out, known], [known.detach(), known.detach()])
    torch.testing.assert_close(seen.grad, maps.grad)


def compiled_passes(work: Callable[[], object], caplog: pytest.LogCaptureFixture) -> list[int]:
    """Return what `work` has compiled: its kernels, and the bytes that they read and write."""
    metrics.reset()
    # Counted only while a listener is registered.
    with caplog.at_level(logging.INFO, compile_fx.inductor_metrics_log.name):
        work()
    return [metrics.generated_kernel_count, metrics.num_bytes_accessed]


@pytest.mark.slow
@pytest.mark.skipif(NO_COMPILER is not None, reason=f"torch.compile: {NO_COMPILER}")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("layer", "passes"), [(AcrossMaps(), 1), (WithinMap(), 2)], ids=str)
def test_a_compiled_normalisation_goes_over_its_data_at_most_twice_each_way(
    layer: nn.Module, passes: int, dtype: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    torch.compiler.reset()
    maps = some_maps(2, 24, 13, 13, dtype=torch.float32).to(dtype).requires_grad_()
    compiled, outs = torch.compile(layer, fullgraph=True, dynamic=False), list[Tensor]()
    # A graph from the cache would not be counted.
    with (
        torch._inductor.config.patch(fx_graph_cache=False),
        torch._functorch.config.patch(enable_autograd_cache=False),
    ):
        kernels, num_bytes = compiled_passes(lambda: outs.append(compiled(maps)), caplog)
        assert kernels == passes
        # In float32: reads the maps, writes the result and the divisors, at each further
        # pass writes and reads sums.
        assert 0 < num_bytes <= (3 + 3 * (passes - 1)) * 4 * maps.numel()
        out = outs[0]
        kernels, num_bytes = compiled_passes(lambda: out.backward(torch.ones_like(out)), caplog)
        assert kernels == passes
        assert 0 < num_bytes <= (4 + 5 * (passes - 1)) * 4 * maps.numel()


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


@pytest.mark.parametrize(
    ("layer", "shape"), [(AcrossMaps(), (2, 7, 3, 4)), (WithinMap(), (2, 3, 6, 7))]
)
def test_the_form_for_compilers_is_the_same_function(
    layer: nn.Module, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = 100 * torch.randn(shape, dtype=torch.float64, generator=torch.manual_seed(1))
    results = []
    for is_compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda answer=is_compiling: answer)
        maps = drawn.clone().requires_grad_()
        out: Tensor = layer(maps)
        out.square().sum().backward()
        results.append((out.detach(), maps.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)
