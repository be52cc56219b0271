"""Preparing a source on the command line: `preprocess` and `shrink` end alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .progress import is_quiet, meter

if TYPE_CHECKING:
    from alexrep.ilsvrc.unit import Source
    from alexrep.manifest import Manifest
    from alexrep.prepare.image import Target

Partial = Annotated[
    bool, typer.Option("--partial", help="Accept fewer images than the edition has.")
]
Classes = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="List of wnids and words, for data that have none."),
]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="CSV of names of val images and their classes."),
]
Side = Annotated[int, typer.Option(min=32, max=2048, help="Side of the images, pixels.")]
SmallSide = Annotated[int, typer.Option(min=8, max=2048, help="Side of the images, pixels.")]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Quality of the JPEGs.")]
Retry = Annotated[
    bool, typer.Option("--retry-failed", help="Prepare units with quarantined images anew.")
]


def target(side: int, geometry: str, quality: int, resampling: str) -> Target:
    """Return how to prepare an image; refuse names that are not known."""
    from alexrep.pixels.rescale import FILTERS, GEOMETRIES
    from alexrep.prepare.image import Target

    options.require("--geometry", geometry, GEOMETRIES)
    options.require("--filter", resampling, FILTERS)
    return Target(side, geometry, quality, resampling)


def prepare(
    ctx: typer.Context,
    source: Source,
    data: Path,
    target: Target,
    partial: bool,
    *,
    retry_failed: bool = False,
    part: str | None = None,
    workers: int | None = None,
) -> Manifest | None:
    """Prepare the images of a source, or go on with it; None if other parts are left."""
    from alexrep import locks, pool
    from alexrep.prepare import expected, preprocess

    own_part = options.pick_part(part)
    for remark in source.remarks:
        options.note(remark)
    images = data / "images"
    arguments = source, images, target, partial, retry_failed
    record = preprocess.look(*arguments).record
    if not options.is_whole(record, images, images):
        with locks.held(data, own_part.name) as check:
            begun, total = preprocess.begin(*arguments), expected.total(source, own_part)
            with meter(total, "images", is_quiet(ctx), check=check, where=images) as done:
                num = workers or pool.available()
                record = preprocess.complete(begun, num, done, own_part, done.before, done.note)
    return record
