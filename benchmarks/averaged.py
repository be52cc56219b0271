"""Three seeds of a recipe, each by itself and averaged, on the val images of a data folder.

    python benchmarks/averaged.py DATA FOLDER --recipe alexnet-imagenette

DATA is packed by the usual commands. FOLDER gets a run for each seed; finished ones are kept.
Centre and ten-crop, with 95 % intervals; averaged with equal weights, as the paper's five and
seven networks, and with weights that are searched on the same val images.
"""

import argparse
from pathlib import Path
from typing import Any

from record import alexrep, keep

from alexrep.runs import results
from alexrep.runs.results import Result

SEEDS = (1, 2, 3)
VIEWS = "centre,ten-crop"


def main() -> None:
    """Train what is not trained, evaluate, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="alexnet-imagenette")
    options = parser.parse_args()
    data, runs = str(options.data), [str(options.folder / f"seed{seed}") for seed in SEEDS]
    for seed, run in zip(SEEDS, runs, strict=True):
        words = ("--run", run, "--recipe", options.recipe, "--set", f"seed={seed}")
        alexrep("-q", "train", data, *words)
    common = ("--data", data, "--views", VIEWS)
    for run in runs:
        alexrep("-q", "eval", run, *common)
    alexrep("-q", "eval", *runs, *common)
    alexrep("-q", "eval", *runs, *common, "--weights", "search")
    figures: dict[str, Any] = {
        **{f"seed {seed}": of(run, 1) for seed, run in zip(SEEDS, runs, strict=True)},
        "averaged": of(runs[0], len(runs)),
        "averaged, weights searched on val": of(runs[0], len(runs), "val"),
    }
    print(keep(f"averaged-{options.recipe}", figures).read_text(encoding="utf-8"))


def of(run: str, num_networks: int, fitted_on: str = "") -> dict[str, Any]:
    """Return the figures of a run's results on val by views, of so many networks."""
    wanted = ("val", num_networks, fitted_on)
    return {
        result.views: figures_of(result)
        for result in results.read_all(Path(run)).values()
        if (result.split, len(result.members) or 1, result.fitted_on) == wanted
    }


def figures_of(result: Result) -> dict[str, Any]:
    """Return errors with their intervals, loss, calibration error and mixture."""
    names = ("num_images", "top1_error", "top1_interval", "top5_error", "top5_interval")
    rest = {"loss": result.loss, "ece": result.ece, "mixture": result.mixture}
    return {name: getattr(result, name) for name in names} | rest


if __name__ == "__main__":
    main()
