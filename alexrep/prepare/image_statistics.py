"""One pass over the training images, shared by `mean` and `pca`."""

import functools
import io
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import simplejpeg
from pydantic import JsonValue

from alexrep import files, manifest, pool
from alexrep.errors import DataError, mismatch
from alexrep.manifest import Manifest, Plan
from alexrep.pixels.moments import Moments, colour_axes
from alexrep.prepare.prepared import REPREPARE, Prepared, jpegs, require_unchanged

NOTHING_VARIES = 1e-6
"""If the largest standard deviation is below this, in grey levels, the images are all alike."""

TOTAL = "total.npz"
"""Name of the sums of all units."""


def make_plan(prepared: Prepared, stage: str) -> Plan:
    """Return the plan of the pass itself, or of one of its two stages."""
    decoder = f"simplejpeg {metadata.version('simplejpeg')}"
    settings: dict[str, JsonValue] = {"side": prepared.side, "decoder": decoder}
    return Plan(stage=stage, settings=settings, inputs={"images": prepared.digest})


def removal(data: Path) -> str:
    """Return the advice to remove mean image and colour axes before making them of other images."""
    return f"remove {data}/statistics, {data}/mean.* and {data}/pca.*"


def moments(
    prepared: Prepared,
    folder: Path,
    workers: int,
    done: Callable[[int], None],
    before: Callable[[int], None] = lambda num: None,
) -> Moments:
    """Sum over all training images.

    The sums of each finished unit are kept in `folder` until those of all are.

    Args:
        prepared: The images.
        folder: Where sums are kept, for the other stage and for a restart.
        workers: Number of worker processes.
        done: Called with the number of images of each unit that is summed.
        before: Called with the number of images of each unit summed by an earlier start.

    Raises:
        ManifestError: If `folder` holds the sums of other images.
        DataError: If an image does not match its record, or there is none.
    """
    manifest.begin(make_plan(prepared, "statistics"), folder / manifest.NAME, folder / "plan.json")
    units, whole = prepared.units("train"), folder / TOTAL
    if whole.exists():
        total = Moments.load(whole)
        before(total.num_images)
    else:
        _sum_units(prepared, units, folder, workers, done, before)
        total = Moments.zero(prepared.side)
        for unit in units:
            total += Moments.load(_sums_path(folder, unit))
    _require_all(total, prepared, folder)
    if not whole.exists():
        total.save(whole)
    for unit in units:  # a megabyte and a half each at side 256
        _sums_path(folder, unit).unlink(missing_ok=True)
    return total


def _sum_units(
    prepared: Prepared,
    units: list[str],
    folder: Path,
    workers: int,
    done: Callable[[int], None],
    before: Callable[[int], None],
) -> None:
    """Sum over the units that no earlier start has summed."""
    todo = [unit for unit in units if not _sums_path(folder, unit).exists()]
    for unit in set(units) - set(todo):
        before(Moments.load(_sums_path(folder, unit)).num_images)
    work = functools.partial(sum_unit, prepared=prepared, folder=folder)
    for _, count in pool.run(work, todo, workers, str):
        done(count)


def _require_all(total: Moments, prepared: Prepared, folder: Path) -> None:
    """Refuse the sums of no images, or of others than there are."""
    if total.num_images == 0:
        advice = "look at its quarantine; data for evaluation alone needs none"
        raise DataError(mismatch(prepared.folder, "training images", "none", advice))
    if total.num_images != prepared.num_train:
        # Versions before took the sums of a list that had been cut short.
        wanted, advice = f"the sums of {prepared.num_train:,} images", "remove it and start again"
        raise DataError(mismatch(folder, wanted, f"{total.num_images:,}", advice))


def sum_unit(unit: str, prepared: Prepared, folder: Path) -> int:
    """Sum over the images of one unit, save the sums, and return their number."""
    sums = Moments.zero(prepared.side)
    shape = (*sums.shape[:2], 4)  # RGBX: decoding and summing are faster on 4 bytes a pixel
    buffer = np.empty(shape, np.uint8)
    tar = prepared.tar(unit)
    for verdict, jpeg in jpegs(prepared, unit):
        require_unchanged(verdict, jpeg, tar)
        try:
            image = simplejpeg.decode_jpeg(jpeg, "RGBX", buffer=buffer)
        except ValueError as error:
            where = f"{tar}: {verdict.name}"
            raise DataError(mismatch(where, "a sound JPEG", error, REPREPARE)) from None
        if image.shape != shape:
            where, wanted = f"{tar}: {verdict.name}", f"{prepared.side} pixels each way"
            raise DataError(mismatch(where, wanted, image.shape[:2], REPREPARE))
        sums.add(image)
    sums.save(_sums_path(folder, unit))
    return sums.num_images


def finish_mean(prepared: Prepared, data: Path, total: Moments) -> Manifest:
    """Write mean.npy, (side, side, 3) float32 in grey levels, and its manifest."""
    stream = io.BytesIO()  # np.save to a file does not name a full disk as the cause
    np.save(stream, total.mean_image())
    files.write_bytes(data / "mean.npy", stream.getvalue())
    return _finish(prepared, data, total, "mean", "mean.npy")


def finish_pca(prepared: Prepared, data: Path, total: Moments) -> Manifest:
    """Write pca.json, the colour axes in grey levels, and its manifest.

    Raises:
        DataError: If the images do not vary at all.
    """
    axes = colour_axes(total.covariance())
    if not axes.stds[0] > NOTHING_VARIES:
        advice = "look at the images"
        raise DataError(mismatch(data, "images with some contrast", "none", advice))
    files.write_json(
        data / "pca.json",
        {
            "mean": total.channel_means().tolist(),
            "covariance": total.covariance().tolist(),
            "axes": axes.axes.tolist(),
            "stds": axes.stds.tolist(),
            "num_pixels": total.num_pixels,
            "side": prepared.side,
            "unit": "grey levels (0-255)",
        },
    )
    return _finish(prepared, data, total, "pca", "pca.json")


def _finish(prepared: Prepared, data: Path, total: Moments, stage: str, name: str) -> Manifest:
    return manifest.finish(
        make_plan(prepared, stage),
        data / f"{stage}.{manifest.NAME}",
        counts={"train images": total.num_images, "pixels": total.num_pixels},
        outputs={name: files.sha256_file(data / name)},
        details={key: prepared.manifest.details[key] for key in ("edition", "side", "geometry")},
        sizes=manifest.sizes(data, [name]),
    )


def _sums_path(folder: Path, unit: str) -> Path:
    return folder / f"{unit}.npz"
