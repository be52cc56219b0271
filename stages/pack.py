"""`alexrep pack`: prepared images to shards."""

from typing import Annotated

import typer

from .cli import choices, options
from .cli.progress import is_quiet, meter


def command(
    ctx: typer.Context,
    data: options.Data,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training images' order.")] = 1,
    shard_images: Annotated[int, typer.Option(min=1, help="Images in a shard.")] = 10_000,
    encoding: choices.Encoding = "jpeg",
    workers: options.Workers = None,
) -> None:
    """Pack the prepared images into HDF5 shards, train shuffled once: DATA/shards.

    \b
    Example: alexrep pack data
    """
    from alexrep import locks, manifest, pool
    from alexrep.prepare import prepared
    from alexrep.shards import layout, write

    options.require("--encoding", encoding, tuple(layout.DATASETS))
    images, shards = prepared.open_prepared(data), data / "shards"
    plan = write.make_plan(images, seed, shard_images, encoding)
    record = manifest.foresee(plan, shards / manifest.NAME, shards / "plan.json")
    if not options.is_whole(record, shards, shards):
        with locks.held(data) as check:
            record = manifest.begin(plan, shards / manifest.NAME, shards / "plan.json")
            if record is None or manifest.lost(record, shards):
                total = sum(images.manifest.counts[f"{split} images"] for split in images.splits)
                num = workers or pool.available()
                with meter(total, "images", is_quiet(ctx), check=check, where=shards) as done:
                    record = write.run(images, shards, plan, num, done, done.before)
    options.say_counts(record, shards)
