"""`alexrep verify`: every digest and count of a data folder."""

from typing import Annotated

import typer

from .cli import options, verifying
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: options.Data,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the prepared tars, too: twice the time.")
    ] = False,
    statistics: Annotated[
        bool, typer.Option(help="Compute mean and colour axes anew by scikit-learn, and compare.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=30, help="With --statistics, so many images only.")
    ] = None,
    workers: verifying.Workers = None,
) -> None:
    """Check the digests and counts of all finished stages of DATA; exit code 4 on a fault.

    Every byte of the shards, the mean image and the colour axes is read. Of the prepared
    images only the lists are, unless --deep is given: then every byte of their tars is.

    \b
    Example: alexrep verify data --deep
    """
    from alexrep.errors import DigestError, mismatch
    from alexrep.shards import check

    if sample is not None and not statistics:
        raise typer.BadParameter("expected --statistics with it", param_hint="--sample")
    total, num_faults = verifying.num_images(data) * (2 if deep else 1), 0
    workers = workers or verifying.default_workers(total)
    with meter(total, "images", is_quiet(ctx), where=data, keeps=False) as done:
        for fault in check.check(data, deep, done, workers):
            options.note(fault)
            num_faults += 1
    if statistics and not num_faults:
        num_faults = verifying.recount(data, sample, is_quiet(ctx))
    if num_faults:
        raise DigestError(mismatch(data, "no fault", num_faults, "see the lines above"))
    typer.echo(verifying.verdict(data, deep, statistics, sample))
