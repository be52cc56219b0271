"""How far an error could be off: 95 % intervals by bootstrap over the images."""

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
"""Resamples; with so many an end of the interval moves by about a hundredth of its length."""
LEVEL = 0.95
SEED = 20120930
"""Of the resamples: the same credit gives the same interval."""


def bootstrap(
    credit: NDArray[np.float64], num_quarantined: int = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """Return the percentile interval of an error: images are drawn anew, with replacement.

    Credit has few distinct values, mostly 0 and 1. How often each of them is drawn is
    multinomial, so no resample is ever held: the cost does not depend on the images.

    Args:
        credit: Credit of each scored image, in [0, 1], (N,).
        num_quarantined: Images that could not be prepared: errors, and drawn as the others are.
        draws: Number of resamples.

    Returns:
        Lower and upper end of the error, as fractions.

    Raises:
        ValueError: If there is no image.

    Source: Efron and Tibshirani 1993, section 13.3.
    """
    values, counts = np.unique(credit, return_counts=True)
    values, counts = np.append(values, 0.0), np.append(counts, num_quarantined)
    num_images = int(counts.sum())
    if not num_images:
        raise ValueError("credit: expected some, found none")
    resampled = np.random.default_rng(SEED).multinomial(num_images, counts / num_images, draws)
    errors = 1 - resampled @ values / num_images
    outside = (1 - LEVEL) / 2
    low, high = np.quantile(errors, [outside, 1 - outside])
    return max(0.0, float(low)), min(1.0, float(high))
