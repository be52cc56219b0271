"""`alexrep preprocess`: the original tars to square JPEGs."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import choices, options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Tars and devkit, or class folders.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder for the prepared data.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept fewer images than the edition has.")
    ] = False,
    edition: choices.Edition = None,
    side: Annotated[int, typer.Option(min=32, max=2048, help="Side of the images, pixels.")] = 256,
    geometry: choices.Geometry = "crop",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of the JPEGs.")] = 90,
    part: options.PartOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Prepare units with quarantined images anew.")
    ] = False,
    workers: options.Workers = None,
) -> None:
    """Rescale every image to a square: shorter side to SIDE, central part.

    Reads the tars where they lie; writes DATA/images. Images that cannot be decoded go to
    DATA/images/quarantine: exit code 3. Parts may run on several machines at once.

    \b
    Example: alexrep preprocess raw data --workers 8
    """
    from alexrep import locks, pool
    from alexrep.ilsvrc import editions, source
    from alexrep.pixels.rescale import GEOMETRIES
    from alexrep.prepare import expected, image, preprocess

    options.require("--geometry", geometry, GEOMETRIES)
    options.require_apart(data, raw, "DATA")
    own_part = options.pick_part(part)
    raw_set = source.survey(raw, editions.find(raw, edition), partial)
    for remark in raw_set.remarks:
        options.note(remark)
    images, target = data / "images", image.Target(side, geometry, quality)
    arguments = raw_set, images, target, partial, retry_failed
    record = preprocess.look(*arguments).record
    if not options.is_whole(record, images, images):
        with locks.held(data, own_part.name) as check:
            begun, total = preprocess.begin(*arguments), expected.total(raw_set, own_part)
            with meter(total, "images", is_quiet(ctx), check=check, where=images) as done:
                num = workers or pool.available()
                record = preprocess.complete(begun, num, done, own_part, done.before)
    options.leave_with(record, images)
