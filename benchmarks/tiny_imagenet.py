"""Fifty classes of Tiny ImageNet by the same commands as ILSVRC, on the CPU.

    python benchmarks/tiny_imagenet.py FOLDER [--recipe alexnet-tiny-imagenet] [--raw TAR]

TAR holds the standard layout; it defaults to tiny-imagenet-50.tar.gz in ALEXREP_TEST_DATA. A
run in FOLDER that has begun is gone on with. Wanted: val top-1 error at most 65 % of AlexNet's
kind of network, 70 % of tiny-resnet; chance is 98 %.
"""

import argparse
import os
import shutil
import tarfile
from pathlib import Path

from pydantic import JsonValue
from record import RESULTS, alexrep, errors, keep, rows

SIDE = 64
VIEWS = ("centre", "ten-crop")


def main() -> None:
    """Prepare, train and evaluate; keep the figures and the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="alexnet-tiny-imagenet")
    parser.add_argument("--raw", type=Path)
    options = parser.parse_args()
    raw = options.raw or Path(os.environ["ALEXREP_TEST_DATA"]) / "tiny-imagenet-50.tar.gz"
    data, run = str(options.folder / "data"), options.folder / "runs" / options.recipe
    prepare(raw, options.folder, data)
    words = ("--run", str(run), "--recipe", options.recipe, "--device", "cpu")
    alexrep("-q", "train", data, *words)
    alexrep("-q", "eval", str(run), "--data", data, "--views", ",".join(VIEWS))
    print(keep(options.recipe, figures(run)).read_text(encoding="utf-8"))
    shutil.copyfile(run / "log.jsonl", RESULTS / f"{options.recipe}.log.jsonl")


def prepare(raw: Path, folder: Path, data: str) -> None:
    """Unpack and prepare the images, unless that is done."""
    if not (folder / "raw").exists():
        with tarfile.open(raw) as tar:
            tar.extractall(folder / "raw", filter="data")
    (images,) = (folder / "raw").iterdir()
    words = ("--edition", "tiny", "--partial", "--side", str(SIDE))
    alexrep("-q", "preprocess", str(images), data, *words)
    for stage in ("mean", "pca", "pack"):
        alexrep("-q", stage, data)


def figures(run: Path) -> dict[str, JsonValue]:
    """Return errors and speed of a finished run."""
    epochs = rows(run, "epoch")
    rates = sorted(float(str(row["images_per_s"])) for row in epochs[1:])
    return {
        "recipe": run.name,
        "threads of torch": os.environ.get("OMP_NUM_THREADS", "all"),
        "epochs": len(epochs) - 1,
        "training images per second, median of epochs": rates[len(rates) // 2],
        "last epoch": epochs[-1],
        **{f"val {views}": errors(run, "val", views) for views in VIEWS},
    }


if __name__ == "__main__":
    main()
