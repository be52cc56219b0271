"""A quick estimate of the training pixels' statistics, from a sample of the images.

Shapes: B images drawn, S side of an image, L = 256 grey levels.
"""

from collections.abc import Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydantic import JsonValue

from alexrep import files, keyed
from alexrep.errors import DataError, mismatch
from alexrep.pixels.moments import Moments, colour_axes
from alexrep.prepare.prepared import REPREPARE, Prepared, read_at, require_unchanged

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Shares of the pixels whose quantiles are told."""


def estimate(prepared: Prepared, num_images: int, seed: int) -> dict[str, JsonValue]:
    """Estimate channel means, deviations, quantiles, covariance and colour axes; write nothing.

    Args:
        prepared: The images.
        num_images: Number of training images to draw, without replacement; all if there are fewer.
        seed: Seed of the draw.

    Returns:
        As in pca.json, marked as an estimate, with the number of images drawn, and of each
        channel (red, green, blue) the standard deviation (n - 1) and quantiles by share: the lowest
        grey level that at least that share of the pixels does not exceed.

    Raises:
        DataError: If there are no training images, or one cannot be read.
    """
    counts = [len(prepared.verdicts(unit)) for unit in prepared.units("train")]
    if not (total := sum(counts)):
        raise DataError(mismatch(prepared.folder, "training images", "none", "look at quarantine"))
    drawn = np.sort(keyed.permutation(total, seed)[:num_images])
    sums, levels = Moments.zero(prepared.side), np.zeros((3, 256), np.int64)
    for image in _images(prepared, drawn):
        sums.add(image)
        for channel in range(3):
            levels[channel] += np.bincount(image[:, :, channel].ravel(), minlength=256)
    covariance = sums.covariance()
    axes = colour_axes(covariance)
    return {
        "estimate": True,
        "num_images": sums.num_images,
        "of": total,
        "seed": seed,
        "mean": sums.channel_means().tolist(),
        "deviation": np.sqrt(covariance.diagonal()).tolist(),
        "quantiles": {f"{share:g}": quantiles(levels, share).tolist() for share in SHARES},
        "covariance": covariance.tolist(),
        "axes": axes.axes.tolist(),
        "stds": axes.stds.tolist(),
        "unit": "grey levels (0-255)",
    }


def quantiles(levels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return the lowest level of each channel that at least `share` of the pixels do not exceed.

    Args:
        levels: Number of pixels of each channel and level, (3, L).
        share: In (0, 1].

    Returns:
        Levels from 0 on, (3,); numpy.quantile's with method="inverted_cdf".
    """
    reached = levels.cumsum(axis=1) >= share * levels.sum(axis=1, keepdims=True)
    return np.asarray(reached.argmax(axis=1))


def _images(prepared: Prepared, drawn: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images at the indices `drawn`, which rise, as RGBX, uint8 (S, S, 4)."""
    start = 0
    for unit in prepared.units("train"):
        verdicts, tar = prepared.verdicts(unit), prepared.tar(unit)
        rows = drawn[(drawn >= start) & (drawn < start + len(verdicts))] - start
        start += len(verdicts)
        if not len(rows):
            continue
        with files.named(tar), tar.open("rb", buffering=0) as stream:
            for row in rows:
                jpeg = read_at(stream.fileno(), verdicts[row], tar)
                require_unchanged(verdicts[row], jpeg, tar)
                try:
                    yield simplejpeg.decode_jpeg(jpeg, "RGBX")
                except ValueError as error:
                    where = f"{tar}: {verdicts[row].name}"
                    raise DataError(mismatch(where, "a sound JPEG", error, REPREPARE)) from None
