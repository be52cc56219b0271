"""CIFAR-10 by the same commands as ILSVRC: one of the four small nets, by its recipe.

    python benchmarks/cifar10.py FOLDER [--recipe cifar10-80sec] [--raw TAR] [--device cuda]

TAR holds cifar10/{train,test}/<class>/*.jpg; it defaults to cifar10.tar.gz in
ALEXREP_TEST_DATA. Val is the test set. Compared with the published error of the net.
"""

import argparse
import os
import shutil
import tarfile
from pathlib import Path

from pydantic import JsonValue
from record import RESULTS, alexrep, errors, keep, rows

from alexrep.config import recipes

PUBLISHED = {
    "cifar10-80sec": 0.26,
    "cifar10-18pct": 0.18,
    "cifar10-13pct": 0.13,
    "cifar10-11pct": 0.11,
}
SIDE = 32


def main() -> None:
    """Prepare, train and evaluate; keep the figures and the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", choices=PUBLISHED, default="cifar10-80sec")
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    raw = options.raw or Path(os.environ["ALEXREP_TEST_DATA"]) / "cifar10.tar.gz"
    seconds = prepare(raw, options.folder)
    run = options.folder / options.recipe
    figures = train(str(options.folder / "data"), run, options.recipe, options.device, seconds)
    print(keep(options.recipe, figures).read_text(encoding="utf-8"))
    shutil.copyfile(run / "log.jsonl", RESULTS / f"{options.recipe}.log.jsonl")


def prepare(raw: Path, folder: Path) -> dict[str, JsonValue]:
    """Unpack and prepare the images; return the seconds of each stage."""
    if not (folder / "raw").exists():
        with tarfile.open(raw) as tar:
            tar.extractall(folder / "raw", filter="data")
    data = str(folder / "data")
    images = str(folder / "raw/cifar10")
    seconds: dict[str, JsonValue] = {
        "preprocess": alexrep("-q", "preprocess", images, data, "--side", str(SIDE))
    }
    for stage in ("mean", "pca", "pack", "verify"):
        seconds[stage] = alexrep("-q", stage, data)
    return seconds


def train(
    data: str, run: Path, name: str, device: str, seconds: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    """Train and evaluate; return the figures."""
    where = ("--device", device)
    seconds["train"] = alexrep("-q", "train", data, "--run", str(run), "--recipe", name, *where)
    views = ["centre"] if recipes.load(name).model.side == SIDE else ["centre", "ten-crop"]
    for view in views:
        chosen = ["--ten-crop"] if view == "ten-crop" else []
        words = ("eval", str(run), "--data", data, *where, *chosen)
        seconds[f"eval {view}"] = alexrep("-q", *words)
    alexrep("plot", str(run))
    epochs = rows(run, "epoch")
    rates = sorted(float(str(row["images_per_s"])) for row in epochs[1:])
    return {
        "recipe": name,
        "published test error": PUBLISHED[name],
        "threads of torch": os.environ.get("OMP_NUM_THREADS", "all"),
        "seconds": seconds,
        "training images per second, median of epochs": rates[len(rates) // 2],
        **{f"test {view}": errors(run, "val", view) for view in views},
        "test error after each epoch": [row["val_top1_error"] for row in epochs],
        "training error in each epoch": [row["train_error"] for row in epochs],
    }


if __name__ == "__main__":
    main()
