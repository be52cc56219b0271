"""Which classes are taken for which, and the errors of each class.

Shapes: N images, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexrep.runs.results import Predictions


@dataclass(frozen=True)
class Pair:
    """Images of one class that were taken for another."""

    label: int
    """Class index of the images."""
    predicted: int
    """Class index that the network found likeliest."""
    count: int
    """Number of such images."""
    fraction: float
    """Of the images of the class."""


@dataclass(frozen=True)
class ClassErrors:
    """The errors of each class, in the order of the class indices."""

    counts: NDArray[np.int64]
    """Scored images, (K,)."""
    top1_error: NDArray[np.float64]
    """Fraction of them, (K,); NaN where there is none."""
    top5_error: NDArray[np.float64]
    """Fraction of them, (K,); NaN where there is none."""

    def hardest(self) -> list[int]:
        """Return the classes that have images, the largest top-1 error first."""
        rows = np.flatnonzero(self.counts)
        order = np.lexsort((rows, -self.top5_error[rows], -self.top1_error[rows]))
        return [int(row) for row in rows[order]]


def matrix(predictions: Predictions, num_classes: int) -> NDArray[np.int64]:
    """Count images by their class and by the likeliest one; 8 MB for 1,000 classes.

    Args:
        predictions: Of a result; images without a label do not count.
        num_classes: K.

    Returns:
        Row: class index of the label; column: of the likeliest class. (K, K).
    """
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415 (takes a second)

    known = predictions.labels >= 0
    labels, likeliest = predictions.labels[known], predictions.top5[known, 0]
    if not len(labels):  # scikit-learn refuses none
        return np.zeros((num_classes, num_classes), np.int64)
    counts: NDArray[np.int64] = confusion_matrix(labels, likeliest, labels=np.arange(num_classes))
    return counts


def most_confused(counts: NDArray[np.int64], most: int = 20) -> list[Pair]:
    """Return the pairs of classes with the most wrong images, largest first.

    Args:
        counts: As `matrix` returns them, (K, K).
        most: At most so many pairs.
    """
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    labels, predicted = np.nonzero(wrong)
    # Equal counts stand in the order of their classes.
    order = np.argsort(-wrong[labels, predicted], kind="stable")[:most]
    sums = counts.sum(axis=1)
    return [
        Pair(row, column, int(counts[row, column]), float(counts[row, column] / sums[row]))
        for row, column in zip(labels[order].tolist(), predicted[order].tolist(), strict=True)
    ]


def of_classes(predictions: Predictions, num_classes: int) -> ClassErrors:
    """Return the errors of each class, with shared credit for ties.

    Args:
        predictions: Of a result; images without a label do not count, and images in
            quarantine are in no class.
        num_classes: K.
    """
    known = predictions.labels >= 0
    labels, credit = predictions.labels[known], predictions.credit[known]
    counts = np.bincount(labels, minlength=num_classes)
    sums = [np.bincount(labels, credit[:, top], minlength=num_classes) for top in (0, 1)]
    empty = np.full(num_classes, np.nan)
    errors = [1 - np.divide(s, counts, out=empty.copy(), where=counts > 0) for s in sums]
    return ClassErrors(counts, *errors)
