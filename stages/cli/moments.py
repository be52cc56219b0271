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
    from alexrep.prepare.estimate import estimate

    images = prepared.open_prepared(data)
    if sample is not None:
        typer.echo(files.to_json(estimate(images, sample, seed=1)), nl=False)
        return
    plan = image_statistics.make_plan(images, stage)
    sums, record_file = data / "statistics", data / f"{stage}.{manifest.NAME}"
    advice = f"ask for the same, or {image_statistics.removal(data)}"
    files_of_stage = record_file, sums / f"{stage}.plan.json"
    record = manifest.foresee(plan, *files_of_stage, advice)
    if options.is_whole(record, data / name, data):
        return
    with locks.held(data) as check:
        record = manifest.begin(plan, *files_of_stage, advice)
        if record is None or manifest.lost(record, data):
            total = images.manifest.counts.get("train images", 0)
            with meter(total, "images", is_quiet(ctx), check=check, where=data / name) as done:
                num = workers or pool.available()
                moments = image_statistics.moments(images, sums, num, done, done.before)
            check()
            finish = {"mean": image_statistics.finish_mean, "pca": image_statistics.finish_pca}
            record = finish[stage](images, data, moments)
    options.say_counts(record, data / name)
