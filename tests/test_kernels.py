"""Fused kernels equal their plain forms: in Triton's interpreter, and on a GPU if there is one."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from triton_kernels import CPU, ON_GPU, interpreted

from alexrep.config.model import AlexNetModel
from alexrep.feed.augment import augment
from alexrep.feed.draws import draw
from alexrep.feed.normalise import make_inputs
from alexrep.kernels import choice
from alexrep.models.alexnet import network as alexnet
from alexrep.models.dropout import MaskDropout, keys
from alexrep.models.normalisation import normalise_across_maps, normalise_within_map
from alexrep.training.optimiser import Momentum2012

UNIT = {torch.float32: 2.0**-20, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
"""A unit in the last place of a type, beside a value; of float32, in which all is summed, eight."""


@pytest.fixture(autouse=True, scope="module")
def _in_the_interpreter() -> Iterator[None]:
    with interpreted(), choice.allowed("untried"):
        yield


def require_close(computed: Tensor, plain: Tensor) -> None:
    """Compare to a unit in the last place; of sums, of the largest term."""
    unit, largest = UNIT[plain.dtype], float(plain.detach().abs().max())
    torch.testing.assert_close(computed, plain, rtol=unit, atol=unit / 4 * largest)
    strides = zip(plain.shape, computed.stride(), plain.stride(), strict=True)
    assert all(one == other for length, one, other in strides if length > 1)


def both_ways(
    maps: Tensor, gradient: Tensor, normalise: Callable[[Tensor], Tensor] = normalise_across_maps
) -> tuple[Tensor, Tensor]:
    """Normalise `maps`; return the outcome and the gradient of `maps`."""
    seen = maps.detach().requires_grad_()
    out = normalise(seen)
    return out.detach(), torch.autograd.grad(out, seen, gradient)[0]


def some_maps(shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, seed: int) -> Tensor:
    maps = 60 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if channels_last:
        flat = maps.flatten(1, -3).contiguous(memory_format=torch.channels_last)
        maps = flat.unflatten(1, shape[1:-2])
    return maps.to(dtype)


groups = st.sampled_from([(), (1,), (2,)])
dtypes = st.sampled_from(list(UNIT))
small = st.integers(1, 7)


@settings(max_examples=5)
@given(groups, st.tuples(small, small, small, small), dtypes, st.booleans(), st.integers(0, 99))
def test_across_maps_equals_the_plain_form_both_ways(
    group: tuple[int, ...],
    sides: tuple[int, int, int, int],
    dtype: torch.dtype,
    channels_last: bool,
    seed: int,
) -> None:
    num, *rest = sides
    maps = some_maps((num, *group, *rest), dtype, channels_last, seed)
    # A gradient need not lie in memory as the maps do.
    gradient = some_maps((num, *group, *rest), dtype, not channels_last, seed + 1)
    computed = both_ways(maps, gradient)
    with choice.allowed("plain"):
        plain = both_ways(maps, gradient)
    for one, other in zip(computed, plain, strict=True):
        require_close(one, other)


@settings(max_examples=3)
@given(st.tuples(st.integers(1, 3), small, small, small), dtypes, st.booleans(), st.integers(0, 99))
def test_within_map_equals_the_plain_form_both_ways(
    shape: tuple[int, int, int, int], dtype: torch.dtype, channels_last: bool, seed: int
) -> None:
    maps = some_maps(shape, dtype, channels_last, seed)
    gradient = some_maps(shape, dtype, not channels_last, seed + 1)
    computed = both_ways(maps, gradient, normalise_within_map)
    with choice.allowed("plain"):
        plain = both_ways(maps, gradient, normalise_within_map)
    for one, other in zip(computed, plain, strict=True):
        require_close(one, other)


def test_across_maps_may_begin_with_a_relu() -> None:
    from alexrep.kernels import across_maps

    maps = some_maps((2, 9, 3, 4), torch.float32, channels_last=True, seed=0).requires_grad_()
    gradient = some_maps((2, 9, 3, 4), torch.float32, channels_last=True, seed=1)
    computed = across_maps.normalise(maps, 2e-5, 2.0, after_relu=True)
    with choice.allowed("plain"):
        plain = normalise_across_maps(maps.relu())
    require_close(computed, plain)
    ways = [torch.autograd.grad(out, maps, gradient)[0] for out in (computed, plain)]
    require_close(ways[0], ways[1])


def test_across_maps_lets_what_is_not_a_number_through() -> None:
    from alexrep.kernels import across_maps

    maps = torch.ones(1, 7, 1, 1)
    maps[0, 0] = torch.nan
    for after_relu in (False, True):
        out = across_maps.normalise(maps, 2e-5, 2.0, after_relu=after_relu)
        assert out.isnan().flatten().tolist() == [True] * 3 + [False] * 4


def test_maps_of_other_types_windows_and_layouts_have_the_plain_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from alexrep.kernels import across_maps

    monkeypatch.setattr(across_maps, "normalise", None)
    maps = some_maps((2, 6, 4, 4), torch.float32, channels_last=False, seed=0)
    for odd in (maps.double(), maps[:, ::2], maps[..., 1:], maps.transpose(2, 3)):
        with choice.allowed("plain"):
            plain = normalise_across_maps(odd)
        torch.testing.assert_close(normalise_across_maps(odd), plain, rtol=0, atol=0)
    assert normalise_across_maps(maps, size=3).isfinite().all()


def masked(units: Tensor, layer: MaskDropout) -> tuple[Tensor, Tensor]:
    """Mask `units`; return the outcome and the gradient of `units`."""
    seen = units.detach().requires_grad_()
    out = layer(seen)
    return out.detach(), torch.autograd.grad(out, seen, torch.flip(units, (-1,)))[0]


@settings(max_examples=6)
@given(
    st.integers(1, 4), st.integers(1, 1500), dtypes, st.booleans(), st.sampled_from([0, 0.5, 0.37])
)
def test_dropout_is_the_plain_form_bit_for_bit(
    num: int, width: int, dtype: torch.dtype, is_inverted: bool, rate: float
) -> None:
    layer = MaskDropout(7, first_unit=2048, is_inverted=is_inverted, rate=rate)
    layer.keys = keys(1, 2, np.arange(num))
    units = torch.randn(num, width).to(dtype)
    units[0, 0] = torch.nan
    computed = masked(units, layer)
    with choice.allowed("plain"):
        plain = masked(units, layer)
    for one, other in zip(computed, plain, strict=True):
        if dtype == torch.bfloat16:  # the interpreter cuts digits off where a GPU rounds
            torch.testing.assert_close(one, other, rtol=2**-7, atol=0, equal_nan=True)
        else:
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=5)
@given(st.data(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 3))
def test_augmentation_is_the_plain_form_bit_for_bit(
    data: st.DataObject, noisy: bool, follows: bool, is_bgr: bool, margin: int
) -> None:
    num, side = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    stored, rng = side + data.draw(st.integers(0, 5)), np.random.default_rng(side)
    images = torch.from_numpy(rng.integers(0, 256, (num, stored, stored, 3), np.uint8))
    inputs = make_inputs(
        rng.uniform(0, 255, (stored, stored, 3)),
        rng.normal(size=(3, 3)),
        np.array([9.0, 5.0, 2.0]),
        side,
        0.1,
        divide=True,
        mean="crop" if follows else "centre",
        channels="bgr" if is_bgr else "rgb",
        factors=(0.5, 1.0, 0.7) if is_bgr else (1.0, 1.0, 1.0),
    )
    drawn = draw(np.arange(num), stored - side, "image", True, 1, 0)
    computed = augment(images, drawn, inputs, noisy, margin=margin)
    with choice.allowed("plain"):
        plain = augment(images, drawn, inputs, noisy, margin=margin)
    assert torch.equal(computed, functional.pad(plain, (0, margin, 0, margin)))
    half = augment(images, drawn, inputs, noisy, margin=margin, dtype=torch.bfloat16)
    torch.testing.assert_close(half.float(), computed, rtol=2**-7, atol=0)


def test_a_network_takes_patches_that_have_their_margin() -> None:
    network = alexnet.build(AlexNetModel(side=68, width=0.05), 10, seed=1).eval()
    patches = torch.randn(2, 3, 68, 68)
    padded = functional.pad(patches, (0, network.margin, 0, network.margin))
    assert network.margin > 0
    with choice.allowed("plain"):
        assert torch.equal(network(padded), network(patches))


def updated(shapes: list[tuple[int, ...]], num_steps: int, frozen: bool) -> list[Tensor]:
    """Make steps of the rule of 2012; return the weights and the velocities."""
    generator = torch.Generator().manual_seed(len(shapes))
    parts = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    groups = [
        {"params": parts[::2], "rate": 0.1, "weight_decay": 0.01},
        {"params": parts[1::2], "rate": 0.0 if frozen else 0.2},
    ]
    optimiser = Momentum2012([group for group in groups if group["params"]])
    for _ in range(num_steps):
        for part in parts:
            part.grad = torch.randn(part.shape, generator=generator)
        optimiser.step()
    velocities = [state["velocity"] for state in optimiser.state.values()]
    return [part.detach() for part in parts] + velocities


shapes = st.lists(st.tuples(small, small), min_size=1, max_size=4)


@settings(max_examples=5)
@given(shapes, st.booleans())
def test_the_update_of_2012_is_the_plain_form(shapes: list[tuple[int, ...]], frozen: bool) -> None:
    shapes = [*shapes, (4100,)]  # more than one program's share
    computed = updated(shapes, 2, frozen)
    with choice.allowed("plain"):
        plain = updated(shapes, 2, frozen)
    for one, other in zip(computed, plain, strict=True):
        require_close(one, other)


def test_parameters_with_gaps_or_of_other_types_have_the_plain_update() -> None:
    from alexrep.kernels.momentum_2012 import takes

    whole, last = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, 3).permute(0, 3, 1, 2)
    assert takes([whole, last], [whole, last], [whole, last])
    for odd in (last, whole.double(), torch.zeros(2, 3, 4, 8)[..., ::2]):
        assert not takes([whole], [whole], [odd])
        assert not takes([whole], [odd], [whole])
    gaps = torch.zeros(2, 8)[:, ::2]
    assert not takes([gaps], [gaps], [gaps])


@pytest.mark.parametrize("name", sorted(choice.TRIALS))
def test_a_trial_of_a_kernel_passes_where_the_kernel_is_right(name: str) -> None:
    with choice.allowed("plain"):
        for computed, plain in choice.TRIALS[name](CPU):
            choice.require_equal(computed, plain)


@pytest.mark.gpu
@ON_GPU
@pytest.mark.parametrize("name", sorted(choice.TRIALS))
def test_a_kernel_works_on_this_gpu(name: str) -> None:
    assert choice.fault(name, torch.device("cuda:0")) is None
