"""What `alexrep mean` and `alexrep pca` share: one pass, whoever comes first."""

from pathlib import Path

import typer

from . import options
from .progress import is_quiet, meter


def moments_stage(
    ctx: typer.Context, data: Path, workers: int | None, stage: str, name: str
) -> None:
    """Finish one of the two stages."""
    from alexrep import files, manifest, pool
    from alexrep.ilsvrc import prepared, sums

    images = prepared.open_prepared(data)
    plan = sums.make_plan(images, stage)
    with files.locked(data):
        record = manifest.begin(
            plan, data / f"{stage}.{manifest.NAME}", data / "statistics" / f"{stage}.plan.json"
        )
        if options.is_finished(record, data / name):
            return
        total = images.manifest.counts["train images"]
        with meter(total, "images", is_quiet(ctx)) as done:
            moments = sums.moments(images, data / "statistics", workers or pool.available(), done)
        finish = sums.finish_mean if stage == "mean" else sums.finish_pca
        record = finish(images, data, moments)
    options.say_counts(record, data / name)
