"""`alexrep mean`: the mean image of the training set."""

import typer

from .cli import options
from .cli.moments import Sample, moments_stage


def command(
    ctx: typer.Context,
    data: options.Data,
    sample: Sample = None,
    workers: options.Workers = None,
) -> None:
    """Compute the mean image over the training set: DATA/mean.npy.

    float32, (side, side, 3), grey levels. The sums are shared with alexrep pca.

    \b
    Example: alexrep mean data
    """
    moments_stage(ctx, data, workers, sample, "mean", "mean.npy")
