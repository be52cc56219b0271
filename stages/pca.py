"""`alexrep pca`: the principal components of the training pixels' colours."""

import typer

from .cli import options
from .cli.moments import Sample, moments_stage


def command(
    ctx: typer.Context,
    data: options.Data,
    sample: Sample = None,
    workers: options.Workers = None,
) -> None:
    """Compute the colour axes of the training set: DATA/pca.json.

    Covariance of RGB about the channel means, its unit eigenvectors, and the standard
    deviations along them in grey levels. The sums are shared with alexrep mean.

    \b
    Example: alexrep pca data
    """
    moments_stage(ctx, data, workers, sample, "pca", "pca.json")
