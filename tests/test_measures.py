"""Intervals, calibration, confusion and errors of classes: against scikit-learn and by hand."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.calibration import calibration_curve

from alexrep.evaluation import calibration, confusion, intervals
from alexrep.evaluation.measures import measured
from alexrep.evaluation.scores import Scores
from alexrep.runs.results import Predictions, Result

RESULT = Result("val", "centre", "last", 3, 0, 0, None, None, None, "w" * 64, "s" * 64)


def predictions_of(probabilities: NDArray[Any], labels: NDArray[np.int64]) -> Predictions:
    """Return what eval would keep of probabilities (N, K) and labels (N,), -1 unknown."""
    likely, known = torch.from_numpy(probabilities.astype(np.float32)), labels >= 0
    values, classes = likely.topk(min(5, likely.shape[1]))
    own, credit = np.full(len(labels), np.nan, np.float32), np.full((len(labels), 2), np.nan)
    if known.any():
        own[known], credit[known] = (
            part.numpy() for part in Scores().add(likely[known], torch.from_numpy(labels[known]))
        )
    return Predictions(
        names=np.array([b"%d" % row for row in range(len(labels))]),
        labels=labels,
        top5=classes.numpy(),
        probabilities=values.numpy(),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=own,
        credit=credit,
    )


def random(num_images: int = 400, num_classes: int = 12, seed: int = 1) -> tuple[Any, Any]:
    """Return the softmax of random logits, right more often than not, and labels; no tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_images)
    logits = rng.normal(size=(num_images, num_classes))
    logits[np.arange(num_images), labels] += 1.5
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return likely, labels


def test_the_numbers_are_those_of_scikit_learn() -> None:
    likely, labels = random()
    result, classes = measured(RESULT, predictions_of(likely, labels)), np.arange(12)
    right = [metrics.top_k_accuracy_score(labels, likely, k=k, labels=classes) for k in (1, 5)]
    assert (result.top1_error, result.top5_error) == pytest.approx((1 - right[0], 1 - right[1]))
    assert result.loss == pytest.approx(metrics.log_loss(labels, likely, labels=classes), rel=1e-6)
    assert result.nll == result.loss
    assert (result.num_images, result.num_unlabelled) == (400, 0)


def test_images_without_labels_count_in_nothing_and_quarantined_ones_as_errors() -> None:
    likely, labels = random(100)
    some = np.where(np.arange(100) < 40, labels, -1)
    whole = measured(RESULT, predictions_of(likely[:40], labels[:40]))
    part = measured(RESULT, predictions_of(likely, some))
    assert (part.num_images, part.num_unlabelled) == (100, 60)
    assert (part.top1_error, part.loss, part.ece) == (whole.top1_error, whole.loss, whole.ece)
    assert part.top1_interval == whole.top1_interval
    held = measured(
        Result(**(vars(RESULT) | {"num_quarantined": 60})), predictions_of(likely[:40], labels[:40])
    )
    assert whole.top1_error is not None
    assert held.top1_error == pytest.approx(1 - 0.4 * (1 - whole.top1_error))
    assert held.num_images == 100


def test_without_any_label_there_are_no_errors() -> None:
    likely, labels = random(10)
    result = measured(RESULT, predictions_of(likely, np.full_like(labels, -1)))
    assert (result.top1_error, result.top1_interval, result.loss, result.ece) == (None,) * 4
    assert (result.num_images, result.num_unlabelled) == (10, 10)


def test_the_interval_is_that_of_resampled_images() -> None:
    credit = np.array([1.0] * 60 + [0.5] * 10 + [0.0] * 30)
    rng = np.random.default_rng(5)
    drawn = np.append(credit, np.zeros(20))[rng.integers(0, 120, (20_000, 120))]
    expected = np.quantile(1 - drawn.mean(axis=1), [0.025, 0.975])
    assert intervals.bootstrap(credit, 20) == pytest.approx(expected, abs=0.005)


def test_the_interval_is_the_normal_one_for_many_images() -> None:
    credit = (np.arange(50_000) < 30_000).astype(float)
    half = 1.96 * np.sqrt(0.4 * 0.6 / 50_000)
    assert intervals.bootstrap(credit) == pytest.approx((0.4 - half, 0.4 + half), abs=2e-4)
    assert intervals.bootstrap(credit) == intervals.bootstrap(credit[::-1])


@pytest.mark.parametrize(("credit", "ends"), [(1.0, (0.0, 0.0)), (0.0, (1.0, 1.0))])
def test_an_interval_of_equal_images_is_a_point(credit: float, ends: tuple[float, float]) -> None:
    assert intervals.bootstrap(np.full(7, credit)) == ends


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="credit: expected some, found none"):
        intervals.bootstrap(np.zeros(0))


def test_the_bootstrap_holds_no_resample() -> None:
    credit = np.random.default_rng(1).integers(0, 2, 50_000).astype(float)
    tracemalloc.start()
    intervals.bootstrap(credit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # 10,000 resamples of 50,000 would be 4 GB


def test_reliability_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    sure = rng.uniform(0.5, 1, 600)
    likely = np.stack([sure, 1 - sure], axis=1)
    labels = rng.integers(0, 2, 600)
    found = calibration.reliability(predictions_of(likely, labels))
    right, mean = calibration_curve(labels == 0, likely[:, 0].astype(np.float32), n_bins=15)
    there = found.counts > 0
    assert found.accuracy[there] == pytest.approx(right)
    assert found.confidence[there] == pytest.approx(mean)
    assert np.isnan(found.accuracy[~there]).all()
    gaps = np.abs(right - mean) * found.counts[there] / 600
    assert found.error == pytest.approx(gaps.sum())


def test_a_network_that_is_right_as_often_as_it_is_sure_has_no_calibration_error() -> None:
    likely = np.tile([[0.75, 0.25]], (8, 1))
    found = calibration.reliability(predictions_of(likely, np.array([0, 0, 0, 1] * 2)))
    assert found.error == 0
    assert found.counts.tolist() == [0] * 11 + [8] + [0] * 3
    sure = calibration.reliability(predictions_of(np.eye(2)[[0, 0]], np.array([0, 1])))
    assert (sure.counts[-1], sure.error) == (2, 0.5)


def test_confusion_is_that_of_scikit_learn() -> None:
    likely, labels = random()
    labels[::7] = -1
    counts = confusion.matrix(predictions_of(likely, labels), 12)
    known = labels >= 0
    expected = metrics.confusion_matrix(labels[known], likely.argmax(axis=1)[known])
    assert np.array_equal(counts, expected)
    assert confusion.matrix(predictions_of(likely, np.full(400, -1)), 12).sum() == 0


def test_a_matrix_of_a_thousand_classes_is_eight_megabytes() -> None:
    rng = np.random.default_rng(1)
    labels, shown = rng.integers(0, 1000, 50_000), np.tile(np.arange(5), (50_000, 1))
    kept = Predictions(
        names=np.zeros(50_000, "S1"),
        labels=labels,
        top5=shown,
        probabilities=np.full((50_000, 5), 0.2, np.float32),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=np.full(50_000, 0.2, np.float32),
        credit=np.zeros((50_000, 2)),
    )
    counts = confusion.matrix(kept, 1000)
    assert (counts.nbytes, counts.sum()) == (8_000_000, 50_000)
    assert counts[:, 0].sum() == 50_000


def test_the_most_confused_pairs_come_first_and_equal_ones_in_the_order_of_classes() -> None:
    counts = np.array([[9, 1, 0], [0, 4, 4], [1, 0, 0]])
    pairs = confusion.most_confused(counts)
    assert [(pair.label, pair.predicted, pair.count) for pair in pairs] == [
        (1, 2, 4),
        (0, 1, 1),
        (2, 0, 1),
    ]
    assert [pair.fraction for pair in pairs] == [0.5, 0.1, 1.0]
    assert len(confusion.most_confused(counts, 2)) == 2


def test_the_errors_of_classes_share_ties_and_name_the_hardest() -> None:
    likely = np.array([[0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05]])
    errors = confusion.of_classes(predictions_of(likely, np.array([0, 0, 0])), 4)
    assert errors.counts.tolist() == [3, 0, 0, 0]
    assert errors.top1_error[0] == pytest.approx(1 - (0.5 + 0 + 1) / 3)
    assert np.isnan(errors.top1_error[1:]).all()
    assert errors.hardest() == [0]
    mixed = confusion.of_classes(predictions_of(*random()), 12)
    assert sorted(mixed.hardest()) == list(range(12))
    assert (np.diff(mixed.top1_error[mixed.hardest()]) <= 0).all()
