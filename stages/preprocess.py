"""`alexrep preprocess`: the original tars to square JPEGs."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .progress import is_quiet, meter


def command(
    ctx: typer.Context,
    raw: Annotated[Path, typer.Argument(help="Folder with the tars and the devkit.")],
    data: Annotated[Path, typer.Argument(help="Folder for the prepared data.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept fewer images than the edition has.")
    ] = False,
    edition: Annotated[
        str | None, typer.Option(help="ilsvrc2010, ilsvrc2012 or demo; found out if not given.")
    ] = None,
    side: Annotated[int, typer.Option(min=32, max=2048, help="Side of the images, pixels.")] = 256,
    geometry: Annotated[
        str, typer.Option(help="crop: central square; squash: give up the aspect ratio.")
    ] = "crop",
    workers: options.Workers = None,
) -> None:
    """Rescale every image to a square: shorter side to SIDE, central part.

    Reads the tars where they lie and writes DATA/images. Images that cannot be decoded
    are kept in DATA/images/quarantine and listed; the exit code is then 3.

    \b
    Example: alexrep preprocess raw data --workers 8
    """
    from alexrep import files, manifest, pool
    from alexrep.ilsvrc import editions, preprocess, source
    from alexrep.ilsvrc.repairs import Target
    from alexrep.pixels.rescale import GEOMETRIES

    options.require("--geometry", geometry, GEOMETRIES)
    found = source.survey(raw, editions.find(raw, edition), partial)
    for remark in found.remarks:
        options.note(remark)
    target, images = Target(side, geometry), data / "images"
    plan = preprocess.make_plan(found, target, partial)
    with files.locked(data):
        record = manifest.begin(plan, images / manifest.NAME, images / "plan.json")
        if options.is_finished(record, images):
            options.leave_with(record, images)
        with meter(preprocess.total(found), "images", is_quiet(ctx)) as done:
            preprocess.run(found, images, target, workers or pool.available(), done)
        record = preprocess.finish(plan, found, images, partial)
    options.leave_with(record, images)
