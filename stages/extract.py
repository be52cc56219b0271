"""`alexrep extract`: the prepared images, or the original files, as class folders."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import choices, options, originals, preparing
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Prepared data; with --original RAW.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for train|val|test/<wnid>/*.JPEG.")
    ],
    layout: choices.Layout = "folders",
    original: Annotated[
        bool, typer.Option("--original", help="The files of RAW as they are, patches applied.")
    ] = False,
    edition: choices.Edition = None,
    partial: preparing.Partial = False,
    classes: preparing.Classes = None,
    labels: preparing.Labels = None,
    workers: options.Workers = None,
) -> None:
    """Write the prepared images as class folders, for any other tool.

    With --layout tiny as Tiny ImageNet is distributed, but for the boxes, which are not known.

    \b
    Example: alexrep extract data folders
    """
    from alexrep import locks, manifest, pool
    from alexrep.prepare import extract, extract_layouts, prepared

    options.require("--layout", layout, tuple(extract_layouts.LAYOUTS))
    options.require_apart(out, data, "OUT", options.SPLITS if original else ())
    raw = originals.Raw(data, edition, partial, classes, labels)
    if original:
        options.say_counts(originals.extract(ctx, raw, out, workers), out)
        return
    raw.require_bare()
    images = prepared.open_prepared(data)
    plan, files = extract.make_plan(images, layout), (out / manifest.NAME, out / "plan.json")
    record, form = manifest.foresee(plan, *files), extract_layouts.LAYOUTS[layout](images)
    lost = extract.lost(images, out, form) if record is not None else []
    if not options.is_whole(record, out, out, lost):
        with locks.held(out) as check:
            record = manifest.begin(plan, *files)
            if record is None or extract.lost(images, out, form):
                total = sum(images.manifest.counts[f"{split} images"] for split in images.splits)
                num = workers or pool.available()
                with meter(total, "images", is_quiet(ctx), check=check, where=out) as done:
                    record = extract.run(images, out, num, done, plan, form)
    options.say_counts(record, out)
