"""Whether the large net starts to learn, with the source's and the paper's initialisation.

    python benchmarks/learning.py FOLDER [--raw RAW] [--width 0.25] [--device cuda]

RAW is ilsvrc2012-dogs in ALEXREP_TEST_DATA if not given: ten classes of ILSVRC-2012. Each run
is net 145 except for the initial standard deviations of conv3 to conv5 (FIDELITY D3), and ends
when its running loss is under 0.8 ln 10, or after 5,000 steps. Killed and started again, the
benchmark resumes. The running loss is the mean training loss over the last epoch's number of
steps; it is of training patches, with noise and dropout.

Below width 1 three things are scaled: every initial standard deviation by 1/sqrt(width), which
keeps sums over a layer's maps as large as at full width (conv1 reads three channels at any
width, so its sums grow); the patch to 112 of 128 pixels and the batch to 64, for time; and the
rates by batch / 128, as in run 170-256-double.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path

import learning_plot
from learning_start import logit_std
from pydantic import JsonValue
from record import RESULTS, alexrep, keep, rows

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel

RECIPE = "alexnet-2012"
INITIALISATIONS = ("code", "paper")
WIDTH = 0.25
TARGET, CAP = 0.8 * log(10), 5000
MOST_STEPS = 39
"""Most steps of an epoch for which the log has every step."""


@dataclass(frozen=True)
class Size:
    """What differs between a small trial on a CPU and the net of 2012."""

    width: float

    @property
    def stored(self) -> int:
        """Side of the prepared images, in pixels."""
        return 256 if self.width >= 1 else 128

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return 128 if self.width >= 1 else 64

    def settings(self, num_images: int, initialisation: str, seed: int) -> list[str]:
        """Return the recipe's settings, as path=value, for `num_images` training images."""
        steps, rate = self.steps(num_images), 0.01 * self.batch / 128
        change = f"[{{epoch = 0, weights = {rate}, biases = {2 * rate}}}]"
        return [
            f"seed={seed}",
            f"prepared_side={self.stored}",
            f"model.initialisation={initialisation}",
            f"model.side={self.stored * 7 // 8}",
            f"model.width={self.width}",
            f"model.std_factor={self.width**-0.5}",
            f"feed.batch_size={self.batch}",
            "feed.order=shuffled",
            "feed.draws=image",
            f"schedule.epochs={ceil(CAP / steps)}",
            f"schedule.changes={change}",
            f"schedule.stop={{metric = 'train_loss', target = {TARGET}}}",
            f"limits.steps={steps}",
        ]

    def steps(self, num_images: int) -> int:
        """Return the number of steps of an epoch, all with whole batches."""
        return min(MOST_STEPS, num_images // self.batch)


def main() -> None:
    """Prepare and train; keep the figures and the picture."""
    options = arguments()
    size, folder = Size(options.width), options.folder
    raw = options.raw or Path(os.environ["ALEXREP_TEST_DATA"]) / "ilsvrc2012-dogs"
    data = folder / f"data-{size.stored}"
    num_images = prepare(raw, data, size.stored)
    results = []
    for seed in options.seeds:  # in turn, so that an interrupted benchmark can be compared, too
        for initialisation in INITIALISATIONS:
            run = folder / f"width-{size.width:g}" / f"{initialisation}-{seed}"
            settings = [*size.settings(num_images, initialisation, seed), *options.given]
            train(data, run, options.device, settings)
            results.append(read(data, run, settings, size.steps(num_images)))
    name = "learning" if size.width == WIDTH else f"learning-width-{size.width:g}"
    figures: dict[str, JsonValue] = {
        "recipe": RECIPE,
        "settings": [*size.settings(num_images, "code", 1)[2:], *options.given],
        "training images": num_images,
        "target": TARGET,
        "most steps": CAP,
        "steps of the running mean": size.steps(num_images),
        "threads of torch": os.environ.get("OMP_NUM_THREADS", "all"),
        "runs": [figures for _, figures in results],
    }
    print(keep(name, figures).read_text(encoding="utf-8"))
    learning_plot.draw([curve for curve, _ in results], TARGET, CAP, RESULTS / f"{name}.png")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--width", type=float, default=WIDTH)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", dest="given", action="append", default=[], metavar="PATH=VALUE")
    return parser.parse_args()


def prepare(raw: Path, data: Path, side: int) -> int:
    """Prepare the images; return the number of training images."""
    alexrep("-q", "preprocess", str(raw), str(data), "--partial", "--side", str(side))
    for stage in ("mean", "pca", "pack", "verify"):
        alexrep("-q", stage, str(data))
    counts = json.loads((data / "images/manifest.json").read_text(encoding="utf-8"))["counts"]
    return int(counts["train images"])


def train(data: Path, run: Path, device: str, settings: Sequence[str]) -> None:
    """Train a run to its end; a finished run is left as it is."""
    words = [word for setting in settings for word in ("--set", setting)]
    where = ("--run", str(run), "--recipe", RECIPE, "--device", device)
    alexrep("-q", "train", str(data), *where, *words)


def read(
    data: Path, run: Path, settings: Sequence[str], window: int
) -> tuple[learning_plot.Curve, dict[str, JsonValue]]:
    """Return the running loss of a run, and its figures."""
    chosen, steps, epochs = (
        recipes.load(RECIPE, tuple(settings)),
        rows(run, "step"),
        rows(run, "epoch"),
    )
    losses = [float(str(row["loss"])) for row in steps][:CAP]
    model = chosen.model
    assert isinstance(model, AlexNetModel)  # RECIPE names it  # noqa: S101
    curve = learning_plot.running(model.initialisation, chosen.seed, losses, window)
    crossing = curve.crossing(TARGET)
    return curve, {
        "initialisation": model.initialisation,
        "seed": chosen.seed,
        "first step under the target": crossing,
        "steps made": len(steps),
        "logits' standard deviation over images at the start": logit_std(data, chosen),
        "first loss": losses[0],
        "lowest running loss": float(curve.losses.min()),
        "running loss every 100 steps": curve.losses[100 - window :: 100].round(4).tolist(),
        "val top-1 error at the end": epochs[-1]["val_top1_error"],
        "seconds of training": sum(float(str(row["seconds"])) for row in epochs[1:]),
    }


if __name__ == "__main__":
    main()
