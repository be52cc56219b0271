"""The draws of training patches: known distributions, and what they depend on."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from alexrep.feed import draws
from alexrep.feed.draws import Draws, draw

MANY = np.arange(33 * 33 * 40)


def drawn(images: NDArray[np.int64], kind: str = "image", seed: int = 1, epoch: int = 0) -> Draws:
    return draw(images, 32, kind, reflect=True, seed=seed, epoch=epoch)


def same(first: Draws, second: Draws) -> bool:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return all(np.array_equal(left, right) for left, right in pairs)


def is_even(counts: NDArray[np.int64]) -> bool:
    """Tell whether counts are consistent with a uniform distribution (p above 0.001)."""
    return bool(stats.chisquare(counts).pvalue > 0.001)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_33_offsets_0_to_32_come_equally_often(axis: int) -> None:
    offsets = drawn(MANY).offsets[:, axis]
    assert (int(offsets.min()), int(offsets.max())) == (0, 32)
    assert is_even(np.bincount(offsets, minlength=33))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_offsets_of_caffes_227_are_0_to_29(axis: int) -> None:
    offsets = draw(MANY, 256 - 227, "image", True, seed=1, epoch=0).offsets[:, axis]
    assert (int(offsets.min()), int(offsets.max())) == (0, 29)
    assert is_even(np.bincount(offsets, minlength=30))


def test_offsets_are_not_more_even_than_chance() -> None:
    # A generator that cycles through the offsets would have p near 1 each time.
    rows = [drawn(MANY, epoch=epoch).offsets[:, 0] for epoch in range(8)]
    pvalues = [stats.chisquare(np.bincount(row, minlength=33)).pvalue for row in rows]
    assert 0.02 < np.mean(pvalues) < 0.98
    assert max(pvalues) < 0.9999


@settings(max_examples=20)
@given(st.integers(0, 2**63 - 1), st.integers(0, 10**4), st.integers(0, 10**9))
def test_a_draw_is_a_function_of_seed_epoch_and_image(seed: int, epoch: int, image: int) -> None:
    alone = draw(np.array([image]), 32, "image", True, seed, epoch)
    among = draw(np.array([image + 1, image, 0]), 32, "image", True, seed, epoch)
    assert same(alone, Draws(among.offsets[1:2], among.reflect[1:2], among.alphas[1:2]))


def test_rows_columns_and_reflections_are_independent() -> None:
    many = drawn(MANY)
    positions = 33 * many.offsets[:, 0] + many.offsets[:, 1]
    assert is_even(np.bincount(2 * positions + many.reflect, minlength=2 * 33 * 33))


def test_neighbouring_images_have_independent_offsets() -> None:
    rows = drawn(MANY).offsets[:, 0]
    assert is_even(np.bincount(33 * rows[:-1] + rows[1:], minlength=33 * 33))


def test_half_the_patches_are_reflected() -> None:
    assert is_even(np.bincount(drawn(MANY).reflect.astype(np.int64)))


def test_without_reflection_none_is_and_the_rest_stays() -> None:
    plain = draw(MANY, 32, "image", reflect=False, seed=1, epoch=0)
    assert not plain.reflect.any()
    assert np.array_equal(plain.offsets, drawn(MANY).offsets)


def test_the_noise_is_normal_and_independent_along_the_axes() -> None:
    alphas = drawn(MANY).alphas
    assert alphas.dtype == np.float32
    assert all(stats.kstest(column, "norm").pvalue > 0.001 for column in alphas.T)
    assert np.allclose(np.cov(alphas.T), np.eye(3), atol=0.025)


def test_the_noise_is_independent_of_offset_and_reflection() -> None:
    many = drawn(MANY)
    columns = [many.offsets, many.reflect[:, None], many.alphas]
    correlation = np.corrcoef(np.hstack(columns).T)
    assert np.abs(correlation - np.eye(6)).max() < 0.025


@settings(max_examples=20)
@given(st.permutations(range(40)), st.integers(1, 40), st.sampled_from(["image", "group32"]))
def test_draws_do_not_depend_on_the_batch(order: list[int], size: int, kind: str) -> None:
    whole, batch = drawn(np.arange(40), kind), np.array(order[:size])
    part = drawn(batch, kind)
    assert same(part, Draws(whole.offsets[batch], whole.reflect[batch], whole.alphas[batch]))


def test_epochs_and_seeds_draw_anew() -> None:
    images = np.arange(64)
    all_drawn = [drawn(images, seed=seed, epoch=epoch) for seed in (1, 2) for epoch in (0, 1)]
    for first, second in pairwise(all_drawn):
        assert not np.array_equal(first.offsets, second.offsets)
        assert not np.array_equal(first.reflect, second.reflect)
        assert not np.isclose(first.alphas, second.alphas).any()


def test_group32_shares_offset_and_reflection_among_32_consecutive_images() -> None:
    grouped = drawn(np.arange(32 * 50), "group32")
    choices = np.column_stack([grouped.offsets, grouped.reflect]).reshape(50, 32, 3)
    assert (choices == choices[:, :1]).all()
    assert len(np.unique(choices[:, 0], axis=0)) > 45


def test_group32_keeps_the_noise_of_each_image() -> None:
    assert np.array_equal(drawn(MANY, "group32").alphas, drawn(MANY).alphas)
    assert len(np.unique(drawn(np.arange(32), "group32").alphas, axis=0)) == 32


def test_group32_reaches_every_offset_equally_often() -> None:
    offsets = drawn(np.arange(32 * 33 * 40), "group32").offsets[::32]
    assert all(is_even(np.bincount(column, minlength=33)) for column in offsets.T)


def test_no_border_leaves_one_offset() -> None:
    assert not draw(np.arange(50), 0, "image", reflect=True, seed=1, epoch=0).offsets.any()


def test_an_unknown_kind_of_draws_is_refused() -> None:
    with pytest.raises(ValueError, match="draws: expected 'image' or 'group32', found 'batch'"):
        drawn(np.arange(3), "batch")


def test_shuffled_labels_are_the_same_labels_elsewhere() -> None:
    labels = np.repeat(np.arange(10), 30)
    shuffled = draws.shuffled_labels(labels, seed=1)
    assert np.array_equal(np.sort(shuffled), labels)
    # 30 of 300 stay by chance, with a standard deviation of about 5.
    assert np.count_nonzero(shuffled == labels) < 55


def test_shuffled_labels_are_a_function_of_the_seed() -> None:
    labels = np.arange(100)
    assert np.array_equal(draws.shuffled_labels(labels, 1), draws.shuffled_labels(labels, 1))
    assert not np.array_equal(draws.shuffled_labels(labels, 1), draws.shuffled_labels(labels, 2))
