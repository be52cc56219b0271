"""`alexrep verify`: every digest and count of a data folder."""

from typing import Annotated

import typer

from . import options
from .progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: options.Data,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every prepared image too, not only the shards.")
    ] = False,
) -> None:
    """Check the digests and counts of all finished stages of DATA; exit code 4 on a fault.

    \b
    Example: alexrep verify data --deep
    """
    from alexrep import manifest
    from alexrep.errors import DigestError, mismatch
    from alexrep.shards import check

    counts = manifest.read(data / "images" / manifest.NAME, "preprocess").counts
    total = sum(count for name, count in counts.items() if name.endswith("images"))
    num_faults = 0
    with meter(total * (2 if deep else 1), "images", is_quiet(ctx)) as done:
        for fault in check.check(data, deep, done):
            options.note(fault)
            num_faults += 1
    if num_faults:
        raise DigestError(mismatch(data, "no fault", num_faults, "see the lines above"))
    typer.echo(f"{data}: every digest and count agrees")
