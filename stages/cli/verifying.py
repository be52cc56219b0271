"""What `alexrep verify` needs beside the library's checks: totals, second look, last line."""

from pathlib import Path

from . import options
from .progress import meter


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
    from alexrep.prepare import prepared, recount

    images, num_faults = prepared.open_prepared(data), 0
    with meter(images.num_train, "images", quiet, where=data, keeps=False) as done:
        for fault in recount.compare(images, data, done, sample):
            options.note(fault)
            num_faults += 1
    return num_faults


def verdict(data: Path, deep: bool, statistics: bool) -> str:
    """Say what agrees, and what was not looked at."""
    from alexrep.shards import check

    text = f"{data}: every digest and count of {', '.join(check.finished_outputs(data))} agrees"
    if statistics:
        text += ", and mean and colour axes with scikit-learn's"
    if not deep:
        text += "; the prepared images were not read (--deep)"
    if missing := check.unfinished_stages(data):
        text += f"; not made yet: {', '.join(missing)}"
    if unsealed := check.unsealed_outputs(data):
        text += f"; by a version before, without a digest: {', '.join(unsealed)}"
    return text
