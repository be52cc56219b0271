"""Top-1 and top-5 error: small tables by hand, ties against random tie-breaking."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from alexrep.evaluation.scores import Scores, credit

TABLE = torch.tensor(
    [
        [0.40, 0.20, 0.15, 0.12, 0.08, 0.05],
        [0.05, 0.08, 0.12, 0.15, 0.20, 0.40],
        [0.10, 0.30, 0.30, 0.10, 0.10, 0.10],
        [0.02, 0.03, 0.05, 0.10, 0.30, 0.50],
    ]
)
"""Four images, six classes."""


def scored(probabilities: Tensor, labels: list[int], num_quarantined: int = 0) -> Scores:
    scores = Scores(num_quarantined)
    scores.add(probabilities, torch.tensor(labels))
    return scores


@st.composite
def tied_rows(draw: st.DrawFn) -> list[float]:
    """Draw a row of probabilities in which many are equal."""
    parts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=8))
    return [part / max(1, sum(parts)) for part in parts]


def by_lots(row: list[float], label: int, top: int, rng: np.random.Generator) -> float:
    """Return how often the label is among the first `top` when ties are broken at random."""
    orders = rng.permuted(np.tile(np.arange(len(row)), (4000, 1)), axis=1)
    ranks = np.take_along_axis(orders, np.argsort(-np.array(row)[orders], axis=1), axis=1)
    return float((ranks[:, :top] == label).any(axis=1).mean())


def test_a_small_table() -> None:
    scores = scored(TABLE, [0, 0, 1, 0])
    # Right; last of six, so beyond five; one of two likeliest; last of six.
    assert scores.top1_error == pytest.approx(1 - 1.5 / 4)
    assert scores.top5_error == pytest.approx(2 / 4)
    assert scores.loss == pytest.approx(-np.log([0.40, 0.05, 0.30, 0.02]).mean())


def test_errors_of_round_counts_are_round() -> None:
    probabilities = torch.eye(2)[[0] * 300]
    scores = scored(probabilities, [0] * 285 + [1] * 15)
    assert scores.top1_error == 0.05


def test_a_tie_for_the_first_place_is_shared() -> None:
    row = torch.tensor([[0.25, 0.25, 0.25, 0.25, 0.0, 0.0]])
    assert credit(row, torch.tensor([2]), 1).tolist() == [1 / 4]
    assert credit(row, torch.tensor([5]), 1).tolist() == [0]


def test_a_tie_for_the_last_two_of_five_places_is_shared() -> None:
    row = torch.tensor([[0.3, 0.2, 0.14, 0.09, 0.09, 0.09, 0.09]])
    assert credit(row, torch.tensor([6]), 5).tolist() == [2 / 4]
    assert credit(row, torch.tensor([2]), 5).tolist() == [1]


@settings(max_examples=30)
@given(tied_rows(), st.integers(1, 5), st.data())
def test_shared_credit_is_what_lots_would_give(
    row: list[float], top: int, data: st.DataObject
) -> None:
    label = data.draw(st.integers(0, len(row) - 1))
    expected = by_lots(row, label, top, np.random.default_rng(0))
    shared = float(credit(torch.tensor([row]), torch.tensor([label]), top))
    assert shared == pytest.approx(expected, abs=0.04)


@settings(max_examples=30)
@given(tied_rows(), st.integers(1, 5))
def test_the_credits_of_all_labels_fill_the_places(row: list[float], top: int) -> None:
    every = torch.tensor([row] * len(row))
    shares = credit(every, torch.arange(len(row)), top)
    assert float(shares.sum()) == pytest.approx(min(top, len(row)))


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_sums_do_not_depend_on_the_batches(size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.randn(200, 12, generator=generator).softmax(1)
    labels = torch.randint(12, (200,), generator=generator)
    whole, parts = Scores(), Scores()
    whole.add(probabilities, labels)
    for start in range(0, 200, size):
        parts.add(probabilities[start : start + size], labels[start : start + size])
    assert (parts.top1_error, parts.top5_error) == (whole.top1_error, whole.top5_error)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-12)


def test_the_last_smaller_batch_weighs_no_more_than_its_images() -> None:
    scores = Scores()
    scores.add(torch.eye(2)[[0, 0, 0]], torch.tensor([0, 0, 0]))
    scores.add(torch.eye(2)[[0]], torch.tensor([1]))
    assert scores.top1_error == 0.25


def test_quarantined_images_count_as_errors() -> None:
    scores = scored(torch.eye(6)[[0, 1, 2]], [0, 1, 2], num_quarantined=1)
    assert (scores.num_images, scores.num_scored) == (4, 3)
    assert (scores.top1_error, scores.top5_error) == (0.25, 0.25)


def test_the_loss_is_of_the_scored_images_only() -> None:
    row = torch.tensor([[0.5, 0.5]])
    assert scored(row, [0], num_quarantined=9).loss == pytest.approx(math.log(2))


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    assert math.isfinite(scored(torch.eye(2)[[0]], [1]).loss)


@pytest.mark.parametrize("num_classes", [1, 2, 4, 5])
def test_up_to_five_classes_every_label_is_among_the_five(num_classes: int) -> None:
    probabilities = torch.full((3, num_classes), 1 / num_classes)
    assert scored(probabilities, [0, 0, num_classes - 1]).top5_error == 0
    assert scored(probabilities, [0, 0, 0]).top1_error == pytest.approx(1 - 1 / num_classes)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_probability_is_refused_and_not_counted(value: float) -> None:
    scores, spoilt = Scores(), TABLE.clone()
    spoilt[1, 3] = value
    with pytest.raises(ValueError, match="probabilities: expected finite numbers, found others"):
        scores.add(spoilt, torch.tensor([0, 0, 0, 0]))
    assert scores == Scores()


def test_errors_are_those_of_scikit_learn_where_there_is_no_tie() -> None:
    from sklearn.metrics import top_k_accuracy_score

    rng = np.random.default_rng(2)
    probabilities, labels = rng.dirichlet(np.ones(9), 300), rng.integers(0, 9, 300)
    scores = scored(torch.from_numpy(probabilities), labels.tolist())
    for top, error in (1, scores.top1_error), (5, scores.top5_error):
        right = top_k_accuracy_score(labels, probabilities, k=top, labels=np.arange(9))
        assert error == pytest.approx(1 - right)
