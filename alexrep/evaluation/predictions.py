"""What a result keeps of every scored image, and of which ones it keeps the image itself.

Shapes: N images scored, M of them kept for the sheet.
"""

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed
from alexrep.evaluation.evaluate import Outputs
from alexrep.feed.batches import Reader
from alexrep.runs.results import Predictions
from alexrep.shards.read import Split

SHEET = 24
"""Images kept for the picture of predictions."""
SHEET_WRONG = 8
"""At most this many of them are wrongly classified ones."""


def of(split: Split, indices: NDArray[np.int64], outputs: Outputs) -> Predictions:
    """Put names, labels and the images of the sheet beside what the network said.

    Args:
        split: The split that was scored; the images of the sheet are decoded again.
        indices: Indices of the images that were scored.
        outputs: Of these images, in their order.
    """
    labels = split.labels[indices]
    rows = sheet_rows(outputs.top5[:, 0] != labels)
    with Reader(split, 1) as reader:
        images = next(reader.read([indices[rows]])).images
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
    """Choose images for the picture: at random, but with some wrong ones among them.

    Args:
        is_wrong: Whether each image is classified wrongly, (N,).

    Returns:
        Their rows, (M,), M = min(24, N).
    """
    order = keyed.permutation(len(is_wrong), 0)
    wrong, right = order[is_wrong[order]], order[~is_wrong[order]]
    chosen = np.concatenate([wrong[:SHEET_WRONG], right, wrong[SHEET_WRONG:]])[:SHEET]
    return chosen[keyed.permutation(len(chosen), 1)]
