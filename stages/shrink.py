"""`alexrep shrink`: a smaller data set, of prepared images or of the originals."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import choices, options, preparing, selecting


def command(
    ctx: typer.Context,
    given: Annotated[Path, typer.Argument(metavar="DATA|RAW", help="Prepared data, or originals.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the smaller data.")],
    select: selecting.Select = "",
    group_digits: selecting.GroupDigits = None,
    groups: selecting.Groups = None,
    group_nodes: selecting.GroupNodes = "",
    devkit: selecting.Devkit = None,
    num_images: selecting.Images = None,
    val_images: selecting.ValImages = None,
    val_fraction: selecting.ValFraction = None,
    seed: selecting.Seed = 1,
    side: preparing.SmallSide = 64,
    geometry: choices.Geometry = "crop",
    resampling: choices.Filter = "bicubic",
    quality: preparing.Quality = 90,
    edition: choices.Edition = None,
    partial: preparing.Partial = False,
    workers: options.Workers = None,
    as_json: options.Json = False,
) -> None:
    """Make a smaller data set: fewer classes or groups of them, fewer images, a smaller side.

    OUT is prepared data: mean, pca and pack come next, or extract --layout tiny. A group's
    images are drawn in equal shares from its classes; a shortage is said.

    \b
    Example: alexrep shrink data small --select 20 --images 500 --side 64
    """
    from alexrep.ilsvrc.groups import Grouping
    from alexrep.ilsvrc.selection import Amounts
    from alexrep.prepare import shrink

    target = preparing.target(side, geometry, quality, resampling)
    options.require_apart(out, given, "OUT", options.SPLITS)
    grouping = Grouping(select, group_digits, groups, group_nodes)
    amounts = Amounts(num_images, val_images, val_fraction, seed)
    if shrink.is_prepared(given):
        source, partial = selecting.of_data(given, side, grouping, amounts, devkit)
    else:
        source = selecting.of_raw(given, edition, partial, grouping, amounts, devkit)
    record = preparing.prepare(ctx, source, out, target, partial, workers=workers)
    options.leave_with(record, out / "images", as_json)
