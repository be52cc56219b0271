"""What a result keeps of every scored image, and of which ones it keeps the image itself.

Shapes: N images scored, M of them kept for the sheet.
"""

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed
from alexrep.evaluation.evaluate import Outputs
from alexrep.feed import views
from alexrep.feed.batches import Reader
from alexrep.runs.results import Predictions
from alexrep.shards.labelled import LabelledImages

SHEET = 20
"""Images kept for the picture of predictions."""
SHEET_SAMPLE = 10
"""The first of them are a random sample, the others wrongly classified ones as far as they go."""


def of(split: LabelledImages, outputs: Outputs) -> Predictions:
    """Put names, labels and the images of the sheet beside what the network said.

    Args:
        split: The split that was scored; the images of the sheet are decoded again.
        outputs: Of the images that were scored.
    """
    indices = outputs.indices
    labels = split.labels[indices]
    rows = sheet_rows(outputs.top5[:, 0] != labels)
    with Reader(split, 1) as reader:
        images = views.shown(next(reader.read([indices[rows]])).images)
    return Predictions(
        names=split.names[indices],
        labels=labels,
        top5=outputs.top5,
        probabilities=outputs.probabilities,
        sheet_images=images,
        sheet_rows=rows,
        label_probabilities=outputs.label_probabilities,
        credit=outputs.credit,
        all_probabilities=outputs.all_probabilities,
    )


def sheet_rows(is_wrong: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose images for the picture: a random sample, then wrong ones, then more at random.

    Args:
        is_wrong: Whether each image is classified wrongly, (N,).

    Returns:
        Their rows, (M,), M = min(20, N). The sample is the first of `keyed.permutation(N, 0)`.
    """
    order = keyed.permutation(len(is_wrong), 0)
    sample, rest = order[:SHEET_SAMPLE], order[SHEET_SAMPLE:]
    is_wrong_one = is_wrong[rest]
    return np.concatenate([sample, rest[is_wrong_one], rest[~is_wrong_one]])[:SHEET]
