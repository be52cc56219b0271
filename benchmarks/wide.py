"""Memory and time of what is done with a trained network, at the width of 2012.

    python benchmarks/wide.py FOLDER [--images 1000]

1,000 classes of one training and one val image each: crops of the photographs that scikit-learn
ships, each with a colour and noise of its own. The network of alexnet-2012 makes one step. Then its
last layer is set by hand, so that each val image is recognised by the distance of its fc7 from that
of the training images. Targets: each command within 4 GiB on two cores.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue
from record import alexrep, errors, keep

from alexrep.demo import pictures
from alexrep.feed import dataset, views
from alexrep.feed.batches import Reader
from alexrep.models.alexnet.network import AlexNet
from alexrep.runs import checkpoint, trained
from alexrep.runs.folder import RunFolder

SIDE = 256
SHARPNESS = 40.0
"""Mean logit of an image whose features are those of its class."""


def main() -> None:
    """Make images and network, run the commands; keep seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--images", type=int, default=1000, help="classes, and images of each split"
    )
    options = parser.parse_args()
    data, run = options.folder / "data", options.folder / "run"
    if not data.exists():
        write(options.folder / "raw", options.images)
        prepare(options.folder / "raw", data)
    if not run.exists():
        train(data, run)
    val = options.folder / "raw/val"
    commands = {
        "eval": ("eval", run, "--data", data, "--views", "centre,ten-crop"),
        "predict": ("predict", run, val, "--json"),
        "similar": ("similar", run, "--data", data),
        "report": ("report", run, "--data", data),
    }
    figures = {name: measured(*map(str, words)) for name, words in commands.items()}
    scores = {views: errors(run, "val", views) for views in ("centre", "ten-crop")}
    print(keep("wide", {"images": options.images, **figures, **scores}).read_text(encoding="utf-8"))


def write(folder: Path, num: int) -> None:
    """Write class folders with one image each in train and val, of one place and colour."""
    photos = pictures.photographs()
    for label in range(num):
        rng = np.random.default_rng(label)
        photo, tint = photos[label % len(photos)], rng.uniform(-60, 60, 3)
        top, left = (int(rng.integers(length - SIDE + 1)) for length in photo.shape[:2])
        picture = photo[top : top + SIDE, left : left + SIDE] + tint
        for split in ("train", "val"):
            path = folder / split / f"class{label:04d}/image.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noisy = pictures.to_uint8(picture + rng.normal(0, 8, picture.shape))
            path.write_bytes(pictures.encode(noisy, 90))


def prepare(raw: Path, data: Path) -> None:
    """Prepare the images by the usual commands."""
    alexrep("-q", "preprocess", str(raw), str(data), "--side", str(SIDE))
    for stage in ("mean", "pca", "pack"):
        alexrep("-q", stage, str(data))


def train(data: Path, run: Path) -> None:
    """Make one step, then set the last layer by hand."""
    settings = ("limits.steps=1", "feed.batch_size=8", "schedule.epochs=1", "schedule.changes=[]")
    words = [word for setting in settings[:2] for word in ("--set", setting)]
    alexrep(
        "-q",
        "train",
        str(data),
        "--run",
        str(run),
        "--recipe",
        "alexnet-2012",
        "--epochs",
        "1",
        *words,
    )
    path = RunFolder(run).checkpoint("last")
    content = dict(checkpoint.load(path))
    state = dict(content["state_dict"])
    # Evaluation halves what fc8 reads. The logits fall with the distance from each class's row.
    rows = 0.5 * features(data, path)
    mean = rows.mean(0)
    apart = rows - mean
    scale = SHARPNESS / apart.square().sum(1).mean()
    state["fc8.weight"] = scale * apart
    state["fc8.bias"] = -scale * (apart @ mean + 0.5 * apart.square().sum(1))
    checkpoint.save(path, content | {"state_dict": state})


def features(data: Path, path: Path) -> torch.Tensor:
    """Return the output of fc7 of each class's training image, (K, 4096)."""
    network, inputs = trained.load(path).model().eval(), trained.load(path).inputs()
    if not isinstance(network, AlexNet):
        raise TypeError(f"{path}: expected the network of 2012, found {type(network).__name__}")
    packed = dataset.open_data(data)
    rows = torch.zeros(len(packed.train.labels), 4096)
    with Reader(packed.train, 2) as reader, torch.inference_mode():
        for batch in reader.read(np.array_split(np.arange(len(rows)), max(1, len(rows) // 50))):
            patches = next(iter(views.patches(torch.from_numpy(batch.images), "centre", inputs)))
            outputs = network.activations(patches, ["fc7"])["fc7"]
            rows[torch.from_numpy(batch.labels)] = outputs
    packed.close()
    return rows


def measured(*words: str) -> dict[str, JsonValue]:
    """Run a command; return its seconds and peak memory."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "alexrep.stages", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"alexrep {' '.join(words)} exited with {process.returncode}")
    seconds = round(time.perf_counter() - start, 1)
    return {"seconds": seconds, "peak memory, MiB": usage.ru_maxrss // 1024}


if __name__ == "__main__":
    main()
