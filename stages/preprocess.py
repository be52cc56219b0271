"""`alexrep preprocess`: the original tars to square JPEGs."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import choices, options, preparing, selecting


def command(
    ctx: typer.Context,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Tars and devkit, or class folders.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder for the prepared data.")],
    partial: preparing.Partial = False,
    edition: choices.Edition = None,
    classes: preparing.Classes = None,
    labels: preparing.Labels = None,
    side: preparing.Side = 256,
    geometry: choices.Geometry = "crop",
    resampling: choices.Filter = "bicubic",
    quality: preparing.Quality = 90,
    select: selecting.Select = "",
    num_images: selecting.Images = None,
    seed: selecting.Seed = 1,
    part: options.PartOption = None,
    retry_failed: preparing.Retry = False,
    workers: options.Workers = None,
) -> None:
    """Rescale every image to a square: shorter side to SIDE, central part.

    Reads the tars where they lie; writes DATA/images. Images that cannot be decoded go to
    DATA/images/quarantine: exit code 3. Parts may run on several machines at once.

    \b
    Example: alexrep preprocess raw data --workers 8
    """
    from alexrep.ilsvrc.groups import Grouping
    from alexrep.ilsvrc.selection import Amounts

    target = preparing.target(side, geometry, quality, resampling)
    options.require_apart(data, raw, "DATA", options.SPLITS)
    options.pick_part(part)
    grouping, amounts = Grouping(select), Amounts(num_images, seed=seed)
    source = selecting.of_raw(
        raw, edition, partial, grouping, amounts, classes=classes, labels=labels
    )
    record = preparing.prepare(
        ctx, source, data, target, partial, retry_failed=retry_failed, part=part, workers=workers
    )
    options.leave_with(record, data / "images")
