"""Dropout: the 2012 rule, and masks that depend on nothing but keys and units."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from alexrep.models.dropout import MaskDropout, keys, mask, set_keys

# Computed with Python's own integers.
KEYS = [3139929190542079934, -6125210373205988610]
BITS = [
    [1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0],
    [0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0],
]


def masked(layer: MaskDropout, num_images: int, num_units: int = 512, step: int = 0) -> Tensor:
    """Return the output of `layer` on ones."""
    set_keys(layer, keys(1, step, np.arange(num_images)))
    out: Tensor = layer(torch.ones(num_images, num_units))
    return out


def test_evaluation_halves_every_unit() -> None:
    units = torch.randn(3, 8)
    assert torch.equal(MaskDropout(6).eval()(units), 0.5 * units)


def test_training_keeps_or_silences_and_never_doubles() -> None:
    assert set(masked(MaskDropout(6), 16).flatten().tolist()) == {0.0, 1.0}


def test_the_inverted_form_doubles_in_training_and_leaves_evaluation_alone() -> None:
    layer, units = MaskDropout(6, is_inverted=True), torch.randn(3, 8)
    assert torch.equal(masked(layer, 16), 2 * masked(MaskDropout(6), 16))
    assert torch.equal(layer.eval()(units), units)


def test_half_of_the_units_stay() -> None:
    chosen = mask(keys(1, 0, np.arange(512)), 6, 0, 4096).double()
    # Two million coins: a standard deviation of 0.00035.
    assert chosen.mean().item() == pytest.approx(0.5, abs=0.0015)
    assert chosen.mean(0).sub(0.5).abs().max() < 0.12
    assert chosen.mean(1).sub(0.5).abs().max() < 0.05


def test_masks_of_images_units_layers_steps_and_seeds_are_unrelated() -> None:
    rows = np.arange(64)
    reference = mask(keys(1, 0, rows), 6, 0, 4096)
    others = [
        reference.roll(1, 0),
        reference.roll(1, 1),
        mask(keys(1, 0, rows), 7, 0, 4096),
        mask(keys(1, 1, rows), 6, 0, 4096),
        mask(keys(2, 0, rows), 6, 0, 4096),
    ]
    for other in others:
        assert (reference == other).double().mean().item() == pytest.approx(0.5, abs=0.005)


def test_the_split_of_a_batch_changes_nothing() -> None:
    layer = MaskDropout(6)
    whole = masked(layer, 8)
    set_keys(layer, keys(1, 0, torch.tensor([5, 2])))
    assert torch.equal(layer(torch.ones(2, 512)), whole[[5, 2]])


def test_the_split_of_a_layer_over_towers_changes_nothing() -> None:
    whole = masked(MaskDropout(6), 4)
    halves = [masked(MaskDropout(6, first), 4, 256) for first in (0, 256)]
    assert torch.equal(torch.cat(halves, 1), whole)


def test_no_generator_is_read_or_moved() -> None:
    before = torch.get_rng_state()
    first = masked(MaskDropout(6), 4)
    torch.manual_seed(12345)
    assert torch.equal(masked(MaskDropout(6), 4), first)
    torch.set_rng_state(before)
    masked(MaskDropout(6), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_masks_are_the_same_in_every_version() -> None:
    assert keys(1, 0, np.arange(2)).tolist() == KEYS
    assert mask(torch.tensor(KEYS), 6, 0, 16).int().tolist() == BITS


def test_the_gradient_is_masked_too() -> None:
    layer, units = MaskDropout(6), torch.ones(4, 32, requires_grad=True)
    set_keys(layer, keys(1, 0, np.arange(4)))
    out = layer(units)
    torch.autograd.backward(out.sum())
    assert units.grad is not None
    assert torch.equal(units.grad, out)


def test_training_without_keys_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"expected 2 keys, found none; call set_keys"):
        MaskDropout(6)(torch.ones(2, 4))


def test_the_wrong_number_of_keys_says_what_to_do() -> None:
    layer = MaskDropout(6)
    set_keys(layer, keys(1, 0, np.arange(3)))
    with pytest.raises(RuntimeError, match=r"expected 2 keys, found 3; call set_keys"):
        layer(torch.ones(2, 4))


def test_every_dropout_of_a_network_gets_the_keys() -> None:
    network = nn.Sequential(nn.Sequential(MaskDropout(6)), MaskDropout(7))
    set_keys(network, keys(1, 0, np.arange(4)))
    both = mask(keys(1, 0, np.arange(4)), 6, 0, 32) & mask(keys(1, 0, np.arange(4)), 7, 0, 32)
    assert torch.equal(network(torch.ones(4, 32)), both.float())


def test_keys_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected int64 \(N,\), found torch.float32"):
        set_keys(MaskDropout(6), torch.ones(3))


def test_a_layer_shows_what_it_draws_for() -> None:
    assert repr(MaskDropout(7, 2048, True)) == (
        "MaskDropout(layer=7, first_unit=2048, is_inverted=True, rate=0.5)"
    )


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.9])
def test_units_go_at_the_rate_of_the_layer(rate: float) -> None:
    chosen = mask(keys(1, 0, np.arange(512)), 6, 0, 4096, rate).double()
    assert chosen.mean().item() == pytest.approx(1 - rate, abs=0.0015)
    assert chosen.mean(0).sub(1 - rate).abs().max() < 0.12


def test_what_stays_at_a_high_rate_stays_at_a_lower_one() -> None:
    few, many = (mask(keys(1, 0, np.arange(8)), 6, 0, 512, rate) for rate in (0.7, 0.2))
    assert torch.equal(few & many, few)


def test_of_any_rate_evaluation_gives_the_mean_of_training() -> None:
    layer, inverted = MaskDropout(6, rate=0.2), MaskDropout(6, is_inverted=True, rate=0.2)
    assert set(masked(layer, 16).flatten().tolist()) == {0.0, 1.0}
    assert set(masked(inverted, 16).flatten().tolist()) == {0.0, 1.25}
    units = torch.randn(3, 8)
    assert torch.equal(layer.eval()(units), units * 0.8)
    assert torch.equal(inverted.eval()(units), units)


def test_every_value_of_maps_is_a_unit() -> None:
    layer, maps = MaskDropout(1, rate=0.3), torch.randn(4, 6, 5, 3)
    set_keys(layer, keys(1, 0, np.arange(4)))
    for laid in (maps, maps.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(layer(laid).flatten(1), layer(maps.flatten(1)))


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=rf"rate: expected at least 0 and under 1, found {rate}"):
        MaskDropout(6, rate=rate)


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**62), st.floats(0, 0.99), st.data())
@settings(max_examples=25, deadline=None)
def test_any_split_of_a_batch_has_the_masks_of_the_whole(
    num: int, num_units: int, seed: int, rate: float, data: st.DataObject
) -> None:
    layer, units = MaskDropout(3, rate=rate), torch.randn(num, num_units)
    cut = data.draw(st.integers(0, num))
    all_keys = keys(seed, 5, np.arange(num))
    set_keys(layer, all_keys)
    whole, parts = layer(units), []
    for rows in (slice(0, cut), slice(cut, num)):
        set_keys(layer, all_keys[rows])
        parts.append(layer(units[rows]))
    assert torch.equal(torch.cat(parts), whole)
