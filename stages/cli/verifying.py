"""What `alexrep verify` needs beside the library's checks: totals, second look, last line."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .progress import meter

MANY = 50_000
"""From so many images on, worker processes are worth the half second that they start in."""
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=1024,
        help="Processes; if not given one, or from 50,000 images on all processors.",
    ),
]


def default_workers(total: int) -> int:
    """Return how many processes look at so many images."""
    from alexrep import pool

    return pool.available() if total >= MANY else 1


def num_images(data: Path) -> int:
    """Return the number of images of all splits.

    Raises:
        DigestError: If the manifest of the prepared images is damaged.
        ManifestError: If there is none.
    """
    from alexrep import manifest
    from alexrep.errors import DigestError, ManifestError

    path = data / "images" / manifest.NAME
    try:
        counts = manifest.read(path, "preprocess").counts
    except ManifestError as error:
        raise (DigestError(str(error)) if path.exists() else error) from None
    return sum(count for name, count in counts.items() if name.endswith("images"))


def recount(data: Path, sample: int | None, quiet: bool) -> int:
    """Compute mean and colour axes anew; say how they differ, and return in how many ways."""
    from alexrep.errors import ManifestError, mismatch
    from alexrep.prepare import prepared, recount

    if not _compared(data):
        advice = "run alexrep mean or alexrep pca first"
        raise ManifestError(mismatch(data, "a mean image or colour axes", "neither", advice))
    images, num_faults = prepared.open_prepared(data), 0
    with meter(images.num_train, "images", quiet, where=data, keeps=False) as done:
        for fault in recount.compare(images, data, done, sample):
            options.note(fault)
            num_faults += 1
    return num_faults


def _compared(data: Path) -> list[str]:
    """Return the names of what scikit-learn's can be compared with."""
    from alexrep.shards import check

    names = {"mean": "mean image", "pca": "colour axes"}
    finished = check.finished_outputs(data)
    return [name for stage, name in names.items() if stage in finished]


def verdict(data: Path, deep: bool, statistics: bool, sample: int | None) -> str:
    """Say what agrees, and what was not looked at."""
    from alexrep.prepare import prepared, recount
    from alexrep.shards import check

    text = f"{data}: every digest and count of {', '.join(check.finished_outputs(data))} agrees"
    if statistics:
        text += f", and {' and '.join(_compared(data))} with scikit-learn's"
        if sample is not None and sample < prepared.open_prepared(data).num_train:
            text += f" of {sample:,} images drawn, within {recount.ERRORS:g} standard errors"
    if not deep:
        text += "; the prepared images were not read (--deep)"
    if missing := check.unfinished_stages(data):
        text += f"; not made yet: {', '.join(missing)}"
    if unsealed := check.unsealed_outputs(data):
        text += f"; by a version before, without a digest: {', '.join(unsealed)}"
    return text
