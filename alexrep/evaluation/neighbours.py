"""The images whose features are nearest to those of others, by Euclidean distance, exactly.

Shapes: Q queries, N images, D numbers of each, K neighbours.

Source: Krizhevsky et al. 2012, section 6.1 and figure 4, right.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from alexrep.evaluation.feature_file import FeatureFile, Features

CLOSE = 1 + 1e-12
"""Factor that the square of a rounded square root is within."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest images of each query, nearest first; K = min(num, N)."""

    rows: NDArray[np.int64]
    """Row of each in the features, (Q, K)."""
    distances: NDArray[np.float64]
    """Euclidean distance of each, (Q, K)."""


def nearest(features: FeatureFile, queries: Features, num: int) -> Neighbours:
    """Find the images with the nearest features; of equally near ones, the first.

    A block of images is in memory at a time. Its distances are first found in float32, by one
    product of matrices; those that may be among the nearest, by a bound on the rounding, are
    computed again in float64 from the differences.

    Args:
        features: Of the images to search.
        queries: Features of the queries, (Q, D).
        num: K, how many to find for each; all if there are no more.

    Raises:
        DataError: If the features are damaged.
    """
    exact, rough = queries.astype(np.float64), torch.from_numpy(queries).float()
    norms = rough.square().sum(dim=1, keepdim=True)
    found = [_nothing() for _ in exact]
    limits = torch.full((len(exact), 1), torch.inf, dtype=torch.float64)
    for start, block in features.blocks():
        images = torch.from_numpy(block).float()
        sizes = norms + images.square().sum(dim=1)
        squares = sizes - 2 * (rough @ images.T)
        # Each of the three sums of D products is wrong by at most D eps / 2 times their sizes.
        slack = 2 * features.num_units * torch.finfo(torch.float32).eps * sizes
        if len(block) >= num:
            at_most = (squares + slack).kthvalue(num, dim=1, keepdim=True).values
            limits = torch.minimum(limits, at_most.double())
        may_be = (squares - slack).double() <= limits
        for query in torch.nonzero(may_be.any(dim=1)).flatten().tolist():
            rows = torch.nonzero(may_be[query]).flatten().numpy()
            near = cdist(exact[[query]], block[rows].astype(np.float64))[0]
            found[query] = _merged(found[query], (start + rows, near), num)
            if len(found[query][1]) == num:
                limits[query] = min(limits[query].item(), found[query][1][-1] ** 2 * CLOSE)
    rows, distances = (np.stack(part) for part in zip(*found, strict=True))
    return Neighbours(rows, distances)


Found = tuple[NDArray[np.int64], NDArray[np.float64]]


def _nothing() -> Found:
    return np.zeros(0, np.int64), np.zeros(0)


def _merged(held: Found, more: Found, num: int) -> Found:
    """Return the nearest of two lists of rows and distances; of equally near rows, the first."""
    rows, distances = (np.concatenate(both) for both in zip(held, more, strict=True))
    order = np.lexsort((rows, distances))[:num]
    return rows[order], distances[order]
