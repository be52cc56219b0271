"""What to expect of an edition: how many images, and how many bytes they take prepared."""

import math
from collections.abc import Iterable

from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc.source import Source, Unit
from alexrep.prepare.parts import WHOLE, Part

JPEG_HEADER = 623
"""Bytes of a prepared JPEG that depend on no pixel."""
BESIDE = 1_200
"""Bytes of an image in its tar and record beside its JPEG: header, padding, verdict."""
ANYWAY = 1 << 20
"""Bytes of what is written once: classes, manifest, folders."""
MARGIN = 1.25
"""Need of space over the mean of the measured images, which vary by class."""


def total(source: Source, part: Part = WHOLE) -> int:
    """Return the number of images to expect, for the progress display."""
    return sum(_count(source, unit) for unit in part.pick(source.units))


def _count(source: Source, unit: Unit, at_most: bool = False) -> int:
    """Return the images that a unit should have; `at_most` those that its tar has room for."""
    if not unit.is_nested:
        return len(unit.members)
    promised = source.classes.synsets[unit.labels[0]].num_train_images
    # A header and a block of content, 512 bytes each.
    return min(promised, unit.members[0].size // 1024) if at_most else promised


def bytes_an_image(side: int) -> float:
    """Return the bytes to expect of a prepared image of `side` pixels, its tar included.

    Source: ours, 150 images of ILSVRC at sides from 32 to 1024; a larger side has less
    detail in a pixel. Without margin this is 0 to 8 % over the means up to 512, 23 % at 1024.
    """
    of_pixels = 0.31 * side * side * math.pow(256 / side, 0.3)
    return MARGIN * (JPEG_HEADER + of_pixels) + BESIDE


def num_bytes(source: Source, units: Iterable[Unit], side: int) -> int:
    """Return the free bytes to ask for before units are prepared; with a margin."""
    num = sum(_count(source, unit, at_most=True) for unit in units)
    return int(num * bytes_an_image(side)) + ANYWAY


def check_promise(source: Source) -> None:
    """Refuse a devkit of another edition at once, and not after hours.

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
