"""The order of an epoch and its division into batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexrep.feed import order


def test_fixed_is_the_order_of_the_shards() -> None:
    for epoch in 0, 5:
        assert order.epoch_order("fixed", 4, seed=9, epoch=epoch).tolist() == [0, 1, 2, 3]


@settings(max_examples=20)
@given(st.integers(0, 300), st.integers(0, (1 << 63) - 1), st.integers(0, 1000))
def test_shuffled_has_every_image_once(num: int, seed: int, epoch: int) -> None:
    indices = order.epoch_order("shuffled", num, seed, epoch)
    assert np.array_equal(np.sort(indices), np.arange(num))


def test_shuffled_is_a_function_of_seed_and_epoch() -> None:
    def order_bytes(seed: int, epoch: int) -> bytes:
        return order.epoch_order("shuffled", 100, seed, epoch).tobytes()

    assert order_bytes(1, 2) == order_bytes(1, 2)
    assert len({order_bytes(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def test_shuffled_takes_every_image_to_every_place_equally_often() -> None:
    epochs = np.array([order.epoch_order("shuffled", 5, 1, epoch) for epoch in range(2000)])
    counts = np.array([np.bincount(column, minlength=5) for column in epochs.T])
    # 16 degrees of freedom; 32 is exceeded once in a hundred.
    assert ((counts - 400) ** 2 / 400).sum() < 32


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order: expected 'shuffled' or 'fixed', found 'random'"):
        order.epoch_order("random", 4, 1, 0)


def test_the_last_batch_is_smaller() -> None:
    divided = order.batches(np.array([5, 3, 4, 1, 2]), 2)
    assert [batch.tolist() for batch in divided] == [[5, 3], [4, 1], [2]]


@pytest.mark.parametrize(("num", "sizes"), [(0, []), (3, [3]), (4, [4]), (8, [4, 4])])
def test_no_batch_is_empty(num: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in order.batches(np.arange(num), 4)] == sizes
