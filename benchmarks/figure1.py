"""Figure 1 of the paper by its command: ReLU against tanh, to 25 % training error on CIFAR-10.

    python benchmarks/figure1.py FOLDER [--images 512] [--epochs 60] [--raw TAR] [--device cuda]

TAR is as for cifar10.py. --images takes the first so many training images of each class, and a
fifth as many test images, which decide nothing. Killed and started again, it resumes. Compared
with the paper, where tanh takes six times as many epochs.
"""

import argparse
import json
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path

from pydantic import JsonValue
from record import RESULTS, alexrep, keep, rows

SIDE = 32


def main() -> None:
    """Prepare, and train at every rate; keep the figures and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    raw = options.raw or Path(os.environ["ALEXREP_TEST_DATA"]) / "cifar10.tar.gz"
    data, out = options.folder / "data", options.folder / "figure1"
    unpack(raw, options.folder / "raw", options.images)
    images = str(options.folder / "raw/cifar10")
    alexrep("-q", "preprocess", images, str(data), "--side", str(SIDE))
    for stage in ("mean", "pca", "pack", "verify"):
        alexrep("-q", stage, str(data))
    words = (str(data), str(out), "--epochs", str(options.epochs), "--device", options.device)
    alexrep("-q", "figure1", *words)
    result = json.loads((out / "figure1.json").read_text(encoding="utf-8"))
    figures: dict[str, JsonValue] = {
        "training images of a class": options.images or "all",
        "most epochs": options.epochs,
        "threads of torch": os.environ.get("OMP_NUM_THREADS", "all"),
        **result,
        "training error in each epoch": {run.name: errors(run) for run in runs(out)},
        "seconds of training": sum(seconds(run) for run in runs(out)),
    }
    print(keep("figure1", figures).read_text(encoding="utf-8"))
    shutil.copyfile(out / "figure1.png", RESULTS / "figure1.png")


def unpack(raw: Path, folder: Path, most: int | None) -> None:
    """Unpack the first images of each class in order of their names, all if `most` is None."""
    if folder.exists():
        return
    part, taken = folder.with_name(f"{folder.name}.part"), Counter[Path]()
    with tarfile.open(raw) as tar:
        for member in sorted(filter(tarfile.TarInfo.isfile, tar), key=lambda info: info.name):
            path = Path(member.name)
            share = most if path.parts[-3] == "train" else most and most // 5
            if share is None or taken[path.parent] < share:
                taken[path.parent] += 1
                tar.extract(member, part, filter="data")
    part.rename(folder)


def runs(out: Path) -> list[Path]:
    """Return the runs that have finished an epoch, in order of their names."""
    logs = sorted(out.glob("*/log.jsonl"))
    return [log.parent for log in logs if len(rows(log.parent, "epoch")) > 1]


def errors(run: Path) -> list[JsonValue]:
    """Return a run's training error in each epoch."""
    return [row["train_error"] for row in rows(run, "epoch")[1:]]


def seconds(run: Path) -> float:
    """Return the seconds that a run's epochs took."""
    return sum(float(str(row["seconds"])) for row in rows(run, "epoch")[1:])


if __name__ == "__main__":
    main()
