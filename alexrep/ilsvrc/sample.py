"""A quick estimate of the moments from some of the training images."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydantic import JsonValue

from alexrep import keyed
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.prepared import REPREPARE, Prepared, read_at, require_unchanged
from alexrep.pixels.moments import Moments, colour_axes


def estimate(prepared: Prepared, num_images: int, seed: int) -> dict[str, JsonValue]:
    """Estimate channel means, covariance and colour axes; nothing is written.

    Args:
        prepared: The images.
        num_images: Training images to draw, without replacement; all if there are fewer.
        seed: Seed of the drawing.

    Returns:
        As in pca.json, marked as an estimate, with the number of images drawn.

    Raises:
        DataError: If there are no training images, or one cannot be read.
    """
    units = prepared.units("train")
    ends = np.cumsum([len(prepared.verdicts(unit)) for unit in units])
    total = int(ends[-1]) if len(ends) else 0
    if not total:
        raise DataError(mismatch(prepared.folder, "training images", "none", "look at quarantine"))
    drawn = np.sort(keyed.permutation(total, seed)[:num_images])
    sums = Moments.zero(prepared.side)
    for number, unit in enumerate(units):
        start = int(ends[number - 1]) if number else 0
        _add(sums, prepared, unit, drawn[(drawn >= start) & (drawn < ends[number])] - start)
    axes = colour_axes(sums.covariance())
    return {
        "estimate": True,
        "num_images": sums.num_images,
        "of": total,
        "seed": seed,
        "mean": sums.channel_means().tolist(),
        "covariance": sums.covariance().tolist(),
        "axes": axes.axes.tolist(),
        "stds": axes.stds.tolist(),
        "unit": "grey levels (0-255)",
    }


def _add(sums: Moments, prepared: Prepared, unit: str, rows: NDArray[np.int64]) -> None:
    """Count in the images of a unit that were drawn."""
    if not len(rows):
        return
    verdicts, tar = prepared.verdicts(unit), prepared.tar(unit)
    with tar.open("rb", buffering=0) as stream:
        for row in rows:
            content = read_at(stream.fileno(), verdicts[row], tar)
            require_unchanged(verdicts[row], content, tar)
            try:
                sums.add(simplejpeg.decode_jpeg(content, "RGBX"))
            except ValueError as error:
                where = f"{tar}: {verdicts[row].name}"
                raise DataError(mismatch(where, "a sound JPEG", error, REPREPARE)) from None
