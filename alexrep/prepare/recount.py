"""Computes mean image and colour axes anew, by code that `mean` and `pca` have no part in.

The tars are read by tarfile, the images by Pillow, the statistics computed by scikit-learn: an
error in our sums, in the verdict lists or in what was kept of a former start would show.
"""

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alexrep import files, manifest
from alexrep.errors import mismatch
from alexrep.prepare.prepared import Prepared

BATCH_PIXELS = 1 << 20
"""Pixels that are given to scikit-learn at a time."""
EXACT = 2e-3
"""Largest difference if all images are read, in grey levels: mean.npy is float32."""
ERRORS = 6.0
"""Largest difference from a sample, in standard errors of its mean, which says little of
under some 30 images."""


@dataclass
class _Statistics:
    """What scikit-learn makes of the images seen."""

    pixels: Any
    """IncrementalPCA over all pixels."""
    images: Any
    """StandardScaler over whole images, for the mean image."""
    num: int = 0
    means: list[NDArray[np.float64]] = field(default_factory=list)
    """Mean of each image, (3,), grey levels."""
    squares: list[NDArray[np.float64]] = field(default_factory=list)
    """Mean square of each image's pixels along the recorded axes, (3,)."""


def compare(
    prepared: Prepared, data: Path, done: Callable[[int], None], sample: int | None = None
) -> Iterator[str]:
    """Yield a line for each difference from mean.npy and pca.json, as far as these are there.

    Args:
        prepared: The images.
        data: The data folder.
        done: Called with the number of training images passed since the last call.
        sample: Number of training images to read; all if not given. The differences that are
            accepted are then `ERRORS` standard errors of the sample.
    """
    if sample is not None and sample >= prepared.num_train:
        sample = None
    colours = _read_colours(data)
    axes = np.eye(3) if colours is None else np.array(colours["axes"])
    centre = np.zeros(3) if colours is None else np.array(colours["mean"])
    statistics, total = _Statistics(*_estimators()), 0
    for batch, num in _batches(prepared, sample):
        if len(batch):
            _add(statistics, batch, axes, centre)
        total += num
        done(num)
    if total != prepared.num_train or not statistics.num:
        wanted, advice = f"{prepared.num_train:,} training images in its tars", "verify --deep"
        yield mismatch(prepared.folder, wanted, f"{total:,}", advice)
        return
    if (data / f"mean.{manifest.NAME}").exists():
        yield from _mean_faults(statistics, data / "mean.npy", sample)
    if colours is not None:
        yield from _axes_faults(statistics, colours, data / "pca.json", sample)


def _estimators() -> tuple[Any, Any]:
    from sklearn.decomposition import IncrementalPCA  # noqa: PLC0415 (takes a second)
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    return IncrementalPCA(3), StandardScaler(with_std=False)


def _read_colours(data: Path) -> dict[str, Any] | None:
    if not (data / f"pca.{manifest.NAME}").exists():
        return None
    colours: dict[str, Any] = json.loads(files.read_text(data / "pca.json"))
    return colours


def _batches(prepared: Prepared, sample: int | None) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield images, (N, S, S, 3), and how many were passed for them, those not drawn included."""
    num, side = prepared.num_train, prepared.side
    drawn = None if sample is None else set(random.Random(1).sample(range(num), min(sample, num)))
    size, batch, passed = max(1, BATCH_PIXELS // side**2), list[NDArray[np.uint8]](), 0
    for index, (tar, member) in enumerate(_members(prepared)):
        passed += 1
        if drawn is None or index in drawn:
            stream = tar.extractfile(member)
            assert stream is not None, "a regular file has content"  # noqa: S101
            batch.append(np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB")))
        if len(batch) == size or passed >= 1000:
            yield np.array(batch, np.uint8), passed
            batch, passed = [], 0
    yield np.array(batch, np.uint8), passed


def _members(prepared: Prepared) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    for unit in prepared.units("train"):
        name = prepared.tar(unit)
        with files.named(name), tarfile.open(name, "r:") as tar:
            for member in tar:
                yield tar, member


def _add(
    statistics: _Statistics,
    batch: NDArray[np.uint8],
    axes: NDArray[np.float64],
    centre: NDArray[np.float64],
) -> None:
    pixels = batch.reshape(len(batch), -1, 3).astype(np.float64)
    statistics.pixels.partial_fit(pixels.reshape(-1, 3))
    statistics.images.partial_fit(batch.reshape(len(batch), -1))
    statistics.num += len(batch)
    statistics.means += list(pixels.mean(axis=1))
    statistics.squares += list(np.square((pixels - centre) @ axes).mean(axis=1))


def _mean_faults(statistics: _Statistics, path: Path, sample: int | None) -> Iterator[str]:
    with files.named(path):
        recorded = np.load(path).astype(np.float64)
    if sample is None:
        found = statistics.images.mean_.reshape(recorded.shape)
        yield from _faults(path, "mean image", recorded, found, EXACT)
        return
    found, allowed = np.mean(statistics.means, axis=0), _allowed(statistics.means)
    yield from _faults(path, "mean of channels", recorded.mean(axis=(0, 1)), found, allowed)


def _axes_faults(
    statistics: _Statistics, colours: dict[str, Any], path: Path, sample: int | None
) -> Iterator[str]:
    stds, fitted = np.array(colours["stds"]), statistics.pixels
    if sample is not None:
        found, allowed = np.mean(statistics.squares, axis=0), _allowed(statistics.squares)
        yield from _faults(path, "variances along the axes", np.square(stds), found, allowed)
        return
    yield from _faults(path, "stds", stds, np.sqrt(fitted.explained_variance_), EXACT)
    # An axis points either way.
    scaled, other = np.array(colours["axes"]) * stds, fitted.components_.T * stds
    other *= np.where((scaled * other).sum(axis=0) < 0, -1.0, 1.0)
    yield from _faults(path, "axes times stds", scaled, other, EXACT * 10)


def _allowed(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the difference from a sample that is accepted, of means of images, (3,)."""
    num = max(2, len(values))
    deviations = np.std(values, axis=0, ddof=min(1, len(values) - 1))
    allowed: NDArray[np.float64] = ERRORS * deviations / np.sqrt(num) + EXACT
    return allowed


def _faults(
    path: Path,
    what: str,
    recorded: NDArray[np.float64],
    found: NDArray[np.float64],
    allowed: float | NDArray[np.float64],
) -> Iterator[str]:
    """Say where two arrays differ most, if by more than is allowed."""
    excess = np.abs(recorded - found) - allowed
    if not np.all(excess <= 0):
        worst = np.unravel_index(np.nanargmax(excess), excess.shape)
        where = f"{path}: {what}"
        advice = "remove mean.*, pca.* and statistics, and run mean and pca again"
        wanted, said = f"{found[worst]:.4f} as scikit-learn has it", f"{recorded[worst]:.4f}"
        yield mismatch(where, wanted, said, advice)
