"""The cost of logging, checkpoints and feed in a training, against a bare loop.

    python benchmarks/throughput.py FOLDER [--data DATA] [--device cuda] [--recipe alexnet-2012]

The network has its full size, and as many classes as the data. Bare: forward, loss, backward
and update on one batch on the device. Whole: the training itself, with shards, draws,
augmentation, log and event files, timed from the first checkpoint to the sixth, so that five
are copied and written meanwhile. The bare loop runs before and after the whole one, which shows
whether the machine slows down. Target: whole at least 0.97 of bare.
"""

import argparse
import contextlib
import itertools
import shutil
import time
from pathlib import Path
from statistics import median

import inputs
import torch
from pydantic import JsonValue
from record import keep
from torch.nn import functional

from alexrep.compute import precision
from alexrep.config import recipes
from alexrep.config.rates import rates_at
from alexrep.config.recipe import Recipe
from alexrep.feed import dataset
from alexrep.models import dropout, registry
from alexrep.pool import default_threads
from alexrep.runs.folder import RunFolder
from alexrep.training import optimiser as optimisers
from alexrep.training import run as training
from alexrep.training.groups import layers_of, set_rates
from alexrep.training.request import Request, Resources

CHECKPOINTS = 5


def bare(chosen: Recipe, classes: int, device: torch.device, steps: int) -> list[float]:
    """Return the seconds of each step, on images that are on the device already."""
    model = registry.build(chosen.model, classes, chosen.seed)
    model = precision.place(model, chosen.compute, device)
    size = chosen.feed.batch_size
    optimiser = optimisers.build(chosen.optimiser, model)
    rates = rates_at(chosen.schedule, 0, [])
    set_rates(optimiser, rates.table(layers_of(optimiser.param_groups)))
    network = precision.Network(model, chosen.compute, device)
    images = torch.randn(size, 3, chosen.model.side, chosen.model.side, device=device) * 50
    labels = torch.arange(size, device=device) % classes
    ends = [time.perf_counter()]
    with precision.settled(chosen.compute):
        for step in range(steps):
            keys = dropout.keys(chosen.seed, step, torch.arange(size).numpy())
            dropout.set_keys(model, keys.to(device))
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(network(images), labels).backward()
            optimiser.step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            ends.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(ends[1:])]


def whole(chosen: Recipe, data: Path, folder: Path, device: torch.device) -> tuple[float, float]:
    """Train; return the seconds per step over five checkpoints, and a checkpoint's bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    every, ends = chosen.checkpoints.every_steps or 1, [0.0]
    run = RunFolder(folder)
    with contextlib.closing(dataset.open_data(data, chosen.limits.classes)) as packed:
        request = Request(chosen, packed, folder, Resources(device, default_threads()))
        training.lead(request, lambda: None, lambda num: ends.append(time.perf_counter()))
    # The first call reports the step that the run starts from, 0.
    steps = ends[-every * (CHECKPOINTS + 1) :]
    seconds = (steps[-1] - steps[every - 1]) / (CHECKPOINTS * every)
    return seconds, float(run.checkpoint("last").stat().st_size)


def main() -> None:
    """Measure; print and keep the figures."""
    parser = inputs.parser(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recipe", default="alexnet-2012")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--every", type=int, default=40, help="steps between two checkpoints")
    parser.add_argument("--set", action="append", default=[])
    parser.set_defaults(rounds=1)
    options = parser.parse_args()
    name, data = inputs.prepared(options, "mean", "pca", "pack")
    figures = {"images": name, **measure(options, data)}
    print(keep("throughput", figures).read_text(encoding="utf-8"))


def measure(options: argparse.Namespace, data: Path) -> dict[str, JsonValue]:
    """Measure both in turn; return the figures."""
    every, device = options.every, torch.device(options.device)
    limits = f"limits.steps={every * (CHECKPOINTS + 1)}"
    chosen = recipes.load(
        options.recipe,
        (
            f"feed.batch_size={options.batch_size}",
            "schedule.epochs=1",
            f"checkpoints.every_steps={every}",
            limits,
            *options.set,
        ),
    )
    with contextlib.closing(dataset.open_data(data)) as packed:
        classes = len(packed.train.classes)
    alone, together, size = bare(chosen, classes, device, every), [], 0.0
    for number in range(options.rounds):
        seconds, size = whole(chosen, data, options.folder / f"run-{number}", device)
        together.append(seconds)
        alone += bare(chosen, classes, device, every)
    return {
        "recipe": options.recipe,
        "settings": options.set,
        "device": str(device),
        "batch size": options.batch_size,
        "classes": classes,
        "steps between checkpoints": every,
        "bytes of a checkpoint": size,
        "bare, seconds per step, median": median(alone),
        "bare, first and last part": [median(alone[: every - 1]), median(alone[1 - every :])],
        "whole, seconds per step over five checkpoints": together,
        "seconds between checkpoints": median(together) * every,
        "whole / bare, images per second": median(alone) / median(together),
    }


if __name__ == "__main__":
    main()
