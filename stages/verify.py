"""`alexrep verify`: every digest and count of a data folder."""

from typing import Annotated

import typer

from .cli import options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: options.Data,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the prepared tars, too: twice the time.")
    ] = False,
) -> None:
    """Check the digests and counts of all finished stages of DATA; exit code 4 on a fault.

    Every byte of the shards, the mean image and the colour axes is read. Of the prepared
    images only the lists are, unless --deep is given: then every byte of their tars is.

    \b
    Example: alexrep verify data --deep
    """
    from alexrep import manifest
    from alexrep.errors import DigestError, ManifestError, mismatch
    from alexrep.shards import check

    path = data / "images" / manifest.NAME
    try:
        counts = manifest.read(path, "preprocess").counts
    except ManifestError as error:
        raise (DigestError(str(error)) if path.exists() else error) from None
    total = sum(count for name, count in counts.items() if name.endswith("images"))
    num_faults = 0
    with meter(
        total * (2 if deep else 1), "images", is_quiet(ctx), where=data, keeps=False
    ) as done:
        for fault in check.check(data, deep, done):
            options.note(fault)
            num_faults += 1
    if num_faults:
        raise DigestError(mismatch(data, "no fault", num_faults, "see the lines above"))
    unread = "" if deep else "; the prepared images were not read (--deep)"
    outputs = ", ".join(check.finished_outputs(data))
    if missing := check.unfinished_stages(data):
        unread += f"; not made yet: {', '.join(missing)}"
    if unsealed := check.unsealed_outputs(data):
        unread += f"; by a version before, without a digest: {', '.join(unsealed)}"
    typer.echo(f"{data}: every digest and count of {outputs} agrees{unread}")
