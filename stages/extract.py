"""`alexrep extract`: the prepared images as class folders."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: options.Data,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for train|val|test/<wnid>/*.JPEG.")
    ],
    workers: options.Workers = None,
) -> None:
    """Write the prepared images as class folders, for any other tool.

    \b
    Example: alexrep extract data folders
    """
    from alexrep import locks, manifest, pool
    from alexrep.prepare import extract, prepared

    options.require_apart(out, data, "OUT")
    images = prepared.open_prepared(data)
    plan, files = extract.make_plan(images), (out / manifest.NAME, out / "plan.json")
    record = manifest.foresee(plan, *files)
    lost = extract.lost(images, out) if record is not None else []
    if not options.is_whole(record, out, out, lost):
        with locks.held(out) as check:
            record = manifest.begin(plan, *files)
            if record is None or extract.lost(images, out):
                total = sum(images.manifest.counts[f"{split} images"] for split in images.splits)
                with meter(total, "images", is_quiet(ctx), check=check, where=out) as done:
                    record = extract.run(images, out, workers or pool.available(), done)
    options.say_counts(record, out)
