"""`alexrep preprocess`: the original tars to square JPEGs."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Tars and devkit, or class folders.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder for the prepared data.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept fewer images than the edition has.")
    ] = False,
    edition: Annotated[
        str | None, typer.Option(help="ilsvrc2010, ilsvrc2012, folder, tiny or demo.")
    ] = None,
    side: Annotated[int, typer.Option(min=32, max=2048, help="Side of the images, pixels.")] = 256,
    geometry: Annotated[str, typer.Option(help="crop: central square; or squash.")] = "crop",
    part: options.PartOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Prepare units with quarantined images anew.")
    ] = False,
    workers: options.Workers = None,
) -> None:
    """Rescale every image to a square: shorter side to SIDE, central part.

    Reads the tars where they lie and writes DATA/images. Images that cannot be decoded are
    kept in DATA/images/quarantine; the exit code is then 3. Parts may run at the same time
    on several machines; the last one to end writes the manifest.

    \b
    Example: alexrep preprocess raw data --workers 8
    """
    from alexrep import locks, pool
    from alexrep.ilsvrc import editions, source
    from alexrep.pixels.rescale import GEOMETRIES
    from alexrep.prepare import expected, preprocess
    from alexrep.prepare.image import Target

    options.require("--geometry", geometry, GEOMETRIES)
    own_part = options.pick_part(part)
    raw_set = source.survey(raw, editions.find(raw, edition), partial)
    for remark in raw_set.remarks:
        options.note(remark)
    images, target = data / "images", Target(side, geometry)
    arguments = raw_set, images, target, partial, retry_failed
    record = preprocess.look(*arguments).record
    if not options.is_whole(record, images, images):
        with locks.held(data, own_part.name) as check:
            begun, num = preprocess.begin(*arguments), workers or pool.available()
            total, quiet = expected.total(raw_set, own_part), is_quiet(ctx)
            with meter(total, "images", quiet, check=check) as done:
                record = preprocess.complete(begun, num, done, own_part, done.before)
    options.leave_with(record, images)
