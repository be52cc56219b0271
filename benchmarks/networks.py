"""Each network learns a batch by heart, and ends with the same bits when it is stopped.

    python benchmarks/networks.py DATA FOLDER [--recipes resnet18 vgg11]

Every recipe trains by the ordinary command on the first 8 images of DATA, at a small side and a
rate of its own: once in one go, and once stopped by SIGUSR2 in its last epoch and started again.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import JsonValue
from record import RESULTS, keep, rows

RECIPES = {
    "resnet18": (64, 0.01, 20),
    "mobilenet-v2": (64, 0.01, 20),
    "googlenet": (64, 0.01, 20),
    "resnet50": (64, 0.01, 20),
    # Without normalisation they stay at a guess for a while, and half of their units are dropped.
    "vgg11": (32, 0.001, 80),
    "vgg16": (32, 0.0005, 160),
    "alexnet-torchvision": (64, 0.003, 100),
}
"""Side, rate, and steps of each of 3 epochs, all with the same batch, of each recipe."""


def command(recipe: str, data: Path, run: Path) -> list[str]:
    """Return the command that trains a recipe on one batch."""
    side, rate, steps = RECIPES[recipe]
    settings = [
        *(f"model.side={side}", "prepared_side=none", "noise.scale=0", "feed.batch_size=8"),
        *("limits.batches=1", f"limits.steps={steps}", "compute.ema=0"),
        *("schedule.epochs=3", "schedule.weights=none", "schedule.biases=none"),
        f"schedule.changes=[{{epoch=0,weights={rate},biases={rate}}}]",
    ]
    words = ["-m", "alexrep.stages", "-q", "train", str(data), "--run", str(run), "--device", "cpu"]
    options = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, *words, "--recipe", recipe, *options]


def train(line: list[str]) -> float:
    """Train to the end; return the seconds."""
    start = time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def train_in_two(line: list[str], run: Path) -> int:
    """Train, stopped after a few steps of the last epoch and started again; return which step."""
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            log = run / "log.jsonl"
            if log.exists() and rows(run, "step") and rows(run, "step")[-1]["epoch"] == 2:
                os.kill(process.pid, signal.SIGUSR2)
                break
            time.sleep(0.05)
        if process.wait() != os.EX_TEMPFAIL:
            raise RuntimeError(f"{' '.join(line)} exited with {process.returncode}")
    step = rows(run, "step")[-1]["step"]
    train(line)
    return int(str(step))


def measure(recipe: str, data: Path, folder: Path) -> dict[str, JsonValue]:
    """Train a recipe twice; return what it has learnt, and whether the weights are equal."""
    whole, halves = folder / "whole", folder / "halves"
    for run in (whole, halves):
        shutil.rmtree(run, ignore_errors=True)
    seconds = train(command(recipe, data, whole))
    step = train_in_two(command(recipe, data, halves), halves)
    records = [
        json.loads((run / "manifest.json").read_text(encoding="utf-8")) for run in (whole, halves)
    ]
    last = rows(whole, "epoch")[-1]
    shutil.rmtree(whole)
    shutil.rmtree(halves)
    return {
        "side": RECIPES[recipe][0],
        "steps of an epoch": RECIPES[recipe][2],
        "parameters": records[0]["counts"]["parameters"],
        "train loss of the last epoch": last["train_loss"],
        "train error of the last epoch": last["train_error"],
        "seconds": round(seconds, 1),
        "stopped at step": step,
        "equal bits": records[0]["details"] == records[1]["details"],
    }


def main() -> None:
    """Measure every recipe that was named, and keep it beside what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args()
    kept = RESULTS / "networks.json"
    figures = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for recipe in options.recipes:
        figures[recipe] = measure(recipe, options.data, options.folder)
        print(recipe, json.dumps(figures[recipe]), flush=True)
        keep("networks", {name: figures[name] for name in RECIPES if name in figures})


if __name__ == "__main__":
    main()
