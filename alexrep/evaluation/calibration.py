"""Whether a network is right as often as it is sure: reliability, expected calibration error.

Shapes: N images, B bins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexrep.runs.results import Predictions

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Images binned by their confidence, the probability of the likeliest class."""

    edges: NDArray[np.float64]
    """Ends of the bins, of equal width, from 0 to 1, (B + 1,)."""
    counts: NDArray[np.int64]
    """Images of each bin, (B,)."""
    confidence: NDArray[np.float64]
    """Mean confidence of each bin's images, (B,); NaN in an empty bin."""
    accuracy: NDArray[np.float64]
    """Mean top-1 credit of each bin's images, (B,); NaN in an empty bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: |accuracy - confidence|, averaged over the images.

        Source: Guo et al. 2017, section 2, equation 3; 15 bins of equal width as there.
        """
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((gaps * self.counts).sum() / max(1, self.counts.sum()))


def reliability(predictions: Predictions, bins: int = BINS) -> Reliability:
    """Bin the images whose label is known by confidence.

    Args:
        predictions: Of a result; images in quarantine are not among them.
        bins: Number of bins. A bin has its upper end and not its lower one.
    """
    known = predictions.labels >= 0
    confidence = predictions.probabilities[known, 0].astype(np.float64)
    credit = predictions.credit[known, 0]
    # From the right: a confidence of exactly 1 is in the last bin.
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    sums = [np.bincount(numbers, weights, minlength=bins) for weights in (confidence, credit)]
    means = [np.divide(s, counts, out=np.full(bins, np.nan), where=counts > 0) for s in sums]
    return Reliability(edges, counts, *means)
