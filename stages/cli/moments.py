"""What `alexrep mean` and `alexrep pca` share: one pass, whoever comes first."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .progress import is_quiet, meter

Sample = Annotated[
    int | None, typer.Option(min=1, help="Print an estimate from so many images, write nothing.")
]


def moments_stage(
    ctx: typer.Context, data: Path, workers: int | None, sample: int | None, stage: str, name: str
) -> None:
    """Finish one of the two stages, or print an estimate."""
    from alexrep import files, locks, manifest, pool
    from alexrep.prepare import image_statistics, prepared
    from alexrep.prepare.image_statistics import estimate

    images = prepared.open_prepared(data)
    if sample is not None:
        typer.echo(files.to_json(estimate(images, sample, seed=1)), nl=False)
        return
    plan = image_statistics.make_plan(images, stage)
    with locks.held(data):
        held, record_file = data / "statistics", data / f"{stage}.{manifest.NAME}"
        advice = f"ask for the same, or {image_statistics.removal(data)}"
        record = manifest.begin(plan, record_file, held / f"{stage}.plan.json", advice)
        if options.is_whole(record, data / name, data):
            return
        total = images.manifest.counts["train images"]
        with meter(total, "images", is_quiet(ctx)) as done:
            num = workers or pool.available()
            moments = image_statistics.moments(images, held, num, done, done.before)
        finish = image_statistics.finish_mean if stage == "mean" else image_statistics.finish_pca
        record = finish(images, data, moments)
    options.say_counts(record, data / name)
