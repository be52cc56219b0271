"""The numbers of a result, counted from its predictions."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alexrep.evaluation import calibration, intervals
from alexrep.runs.results import Predictions, Result


def measured(result: Result, predictions: Predictions) -> Result:
    """Return a result with its errors, intervals, loss and calibration.

    Args:
        result: What was scored; its `num_quarantined` counts as errors.
        predictions: The predictions; images without a label count in no number but theirs.
    """
    known, num_quarantined = predictions.labels >= 0, result.num_quarantined
    num_known = int(np.count_nonzero(known))
    counted = replace(
        result,
        num_images=len(known) + num_quarantined,
        num_unlabelled=len(known) - num_known,
    )
    if not num_known:
        # Images in quarantine may have labels, but none of those that could be scored has one.
        return replace(counted, num_unlabelled=counted.num_images)
    credit, num_images = predictions.credit[known], num_known + num_quarantined
    errors = [float((num_images - right) / num_images) for right in credit.sum(axis=0)]
    ends = [intervals.bootstrap(credit[:, top], num_quarantined) for top in (0, 1)]
    return replace(
        counted,
        loss=_loss(predictions.label_probabilities[known]),
        top1_error=errors[0],
        top5_error=errors[1],
        top1_interval=ends[0],
        top5_interval=ends[1],
        draws=intervals.DRAWS,
        ece=calibration.reliability(predictions).error,
    )


def _loss(own: NDArray[np.float32]) -> float | None:
    """Return the mean of -log(probability of the label); None where some are not kept."""
    if np.isnan(own).any():
        return None
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny).astype(np.float64)).mean())
