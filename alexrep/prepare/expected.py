"""Estimates for an edition: its number of images, and the bytes they take when prepared."""

import math
from collections.abc import Iterable

import numpy as np

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.unit import Source, Unit
from alexrep.pixels.rescale import QUALITY
from alexrep.prepare.image import Target
from alexrep.prepare.parts import WHOLE, Part

JPEG_HEADER = 623
"""Size of the headers of a prepared JPEG, in bytes."""
PER_IMAGE = 1_200
"""Bytes per image beside its JPEG: tar header, padding, verdict."""
PER_EDITION = 1 << 20
"""Bytes written once: classes, manifest, folders."""
QUALITIES = (1, 50, 75, 85, 90, 95, 98, 100)
SIZES = (0.07, 0.39, 0.6, 0.8, 1.0, 1.42, 1.97, 2.65)
"""Size of a JPEG at each of these qualities, over that at quality 90."""
MARGIN = 1.25
"""Factor on the mean size of the measured images, as sizes vary by class."""


def total(source: Source, part: Part = WHOLE) -> int:
    """Return the number of images to expect, for the progress display."""
    return sum(_count(source, unit) for unit in part.pick(source.units))


def _count(source: Source, unit: Unit, at_most: bool = False) -> int:
    """Return the images that a unit should have; `at_most` caps it by the size of its tar."""
    if unit.is_mixed:
        return unit.num_images
    if not unit.is_nested:
        return len(unit.members)
    promised = source.classes.synsets[unit.labels[0]].num_train_images
    # An image takes at least a header and a block of content, 512 bytes each.
    return min(promised, unit.members[0].size // 1024) if at_most else promised


def bytes_an_image(side: int, quality: int = QUALITY) -> float:
    """Estimate the bytes of a prepared image of `side` pixels, with its share of tar and record.

    Source: our fit to 150 images of ILSVRC at sides from 32 to 1024; at a larger side a pixel
    holds less detail. Without `MARGIN` the estimate is 0 to 8 % above the means up to side 512,
    and 23 % above at 1024. The sizes by quality are of 80 images at side 256.
    """
    pixel_bytes = 0.31 * side * side * math.pow(256 / side, 0.3)
    pixel_bytes *= float(np.interp(quality, QUALITIES, SIZES))
    return MARGIN * (JPEG_HEADER + pixel_bytes) + PER_IMAGE


def num_bytes(source: Source, units: Iterable[Unit], target: Target) -> int:
    """Estimate the free bytes needed to prepare `units`, with a margin."""
    num = sum(_count(source, unit, at_most=True) for unit in units)
    return int(num * bytes_an_image(target.side, target.quality)) + PER_EDITION


def check_promise(source: Source) -> None:
    """Refuse a devkit of another edition now, not after hours of work.

    Raises:
        DataError: If it promises another number of training images than the edition has.
    """
    wanted = source.edition.num_images["train"]
    expected = [unit.num_expected for unit in source.units if unit.split == "train"]
    promised = sum(num for num in expected if num is not None)
    if None not in expected and promised != wanted:
        where = f"{source.edition.name}'s devkit"
        advice = "put the edition's own there, or accept this one with --partial"
        raise DataError(mismatch(where, f"{wanted:,} train images", f"{promised:,}", advice))
