"""Keyed random numbers: frozen values, distributions, independence of keys, and shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alexrep import keyed

KEYS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4)
MASK = 2**64 - 1


def mix(value: int) -> int:
    """Mix 64 bits as SplitMix64 does, in Python's integers."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def bits_in_integers(*keys: int) -> int:
    mixed = 0
    for key in keys:
        mixed = mix(mixed ^ mix(key + 0x9E3779B97F4A7C15 & MASK))
    return mixed


def test_the_numbers_never_change() -> None:
    assert keyed.bits(1, np.arange(3)).tolist() == [
        14441215724402424410,
        5100067414036997183,
        18112911516470036441,
    ]
    assert keyed.below(33, 1, np.arange(10)).tolist() == [25, 9, 32, 7, 21, 27, 29, 23, 9, 23]
    expected = [0.15305563337193756, -0.07254778536274928, 0.14746101119707059]
    np.testing.assert_allclose(keyed.normal(1, np.arange(3)), expected, rtol=1e-14)
    assert keyed.permutation(10, 1).tolist() == [3, 1, 8, 4, 7, 9, 0, 5, 6, 2]


def test_one_mixing_is_the_first_number_of_splitmix64() -> None:
    # The first output of the reference implementation for seed 0 and for seed 1234567.
    assert mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF
    assert mix(1234567 + 0x9E3779B97F4A7C15 & MASK) == 6457827717110365317


@given(KEYS)
def test_bits_are_those_of_exact_integers(keys: list[int]) -> None:
    assert int(keyed.bits(*keys)) == bits_in_integers(*keys)


@given(KEYS, st.integers(1, 2**32))
def test_below_is_the_high_half_scaled(keys: list[int], bound: int) -> None:
    assert int(keyed.below(bound, *keys)) == (bits_in_integers(*keys) >> 32) * bound >> 32


def test_below_is_even() -> None:
    counts = np.bincount(keyed.below(33, 7, np.arange(100_000)), minlength=33)
    assert len(counts) == 33
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("position", [0, 1])
def test_neighbouring_keys_give_independent_numbers(position: int) -> None:
    keys = [np.arange(50_000) + shift for shift in (0, 1)]
    first, second = (keyed.below(8, *((key, 3) if position == 0 else (3, key))) for key in keys)
    table = np.zeros((8, 8))
    np.add.at(table, (first, second), 1)
    assert stats.chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize("bound", [0, -1, 2**32 + 1])
def test_a_bound_that_cannot_be_kept_is_refused(bound: int) -> None:
    with pytest.raises(ValueError, match=rf"bound: expected 1 to 2\*\*32, found {bound}"):
        keyed.below(bound, 1)


def test_normal_numbers_are_normal() -> None:
    drawn = keyed.normal(5, np.arange(100_000))
    assert stats.kstest(drawn, "norm").pvalue > 0.001
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.var() - 1) < 0.02
    assert abs(np.mean(drawn**4) - 3) < 0.1


def test_normal_numbers_are_finite_for_the_rarest_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for rarest in (0, MASK):
        monkeypatch.setattr(keyed, "bits", lambda *keys, rarest=rarest: np.uint64(rarest))
        assert np.isfinite(keyed.normal(1))


@given(st.integers(0, 300), st.integers(0, MASK))
def test_a_permutation_holds_each_number_once(num: int, seed: int) -> None:
    assert sorted(keyed.permutation(num, seed)) == list(range(num))


def test_every_order_of_three_is_equally_likely() -> None:
    orders = [tuple(keyed.permutation(3, seed).tolist()) for seed in range(3000)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.001


def test_each_key_and_their_order_matter() -> None:
    numbers = [
        keyed.bits(*keys) for keys in ((1, 2), (2, 1), (1, 2, 0), (1,), (0, 1), (0, 0), (0,))
    ]
    assert len({int(number) for number in numbers}) == 7


def test_keys_broadcast() -> None:
    table = keyed.bits(3, np.arange(4)[:, None], np.arange(5))
    assert table.shape == (4, 5)
    assert table.dtype == np.uint64
    assert all(table[i, j] == keyed.bits(3, i, j) for i in range(4) for j in range(5))
    assert keyed.below(9, np.zeros((2, 1), int), np.arange(3)).shape == (2, 3)
    assert keyed.normal(np.arange(6).reshape(2, 3)).shape == (2, 3)


def test_the_type_of_a_key_does_not_matter() -> None:
    kinds = (np.int32, np.int64, np.uint8, np.uint64)
    assert len({int(keyed.bits(1, kind(200))) for kind in kinds} | {int(keyed.bits(1, 200))}) == 1


def test_a_part_of_the_keys_gives_that_part_of_the_numbers() -> None:
    whole = keyed.normal(4, np.arange(100))
    np.testing.assert_array_equal(keyed.normal(4, np.arange(40, 60)), whole[40:60])
