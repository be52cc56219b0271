"""Kills data preparation at random moments, on real data; its bytes must not change.

    python benchmarks/chaos_data.py FOLDER [--raw RAW] [--kills 20] [--seed 1]

Each of preprocess, mean, pca and pack is started again and again and gets SIGKILL after a
random time, `--kills` times, and then runs to its end. Every file of DATA must equal that of an
undisturbed run. RAW defaults to ilsvrc2012-dogs in ALEXREP_TEST_DATA.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import JsonValue
from record import alexrep, keep

from alexrep import files

STAGES = ("preprocess", "mean", "pca", "pack")


def words(stage: str, raw: Path, data: Path) -> list[str]:
    """Return the command of a stage."""
    settings = ["--partial", "--side", "128"]
    more = {"preprocess": settings, "pack": ["--shard-images", "100"]}.get(stage, [])
    first = [str(raw)] if stage == "preprocess" else []
    return ["-q", stage, *first, str(data), *more]


def tree(data: Path) -> dict[str, str]:
    """Return the digest of each file except locks."""
    paths = (path for path in data.rglob("*") if path.is_file() and ".lock" not in path.name)
    return {str(path.relative_to(data)): files.sha256_file(path) for path in paths}


def start_and_kill(command: list[str], after_s: float) -> bool:
    """Start a stage and kill it; return whether it was still running."""
    full = [sys.executable, "-m", "alexrep.stages", *command]
    with subprocess.Popen(full, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(after_s)
        is_running = process.poll() is None
        if is_running:
            os.kill(process.pid, signal.SIGKILL)
    return is_running


def main() -> None:
    """Disturb each stage and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    raw = options.raw or Path(os.environ["ALEXREP_TEST_DATA"]) / "ilsvrc2012-dogs"
    whole, disturbed = options.folder / "whole", options.folder / "disturbed"
    shutil.rmtree(options.folder, ignore_errors=True)
    chance, figures = random.Random(options.seed), dict[str, JsonValue]()
    for stage in STAGES:
        seconds = alexrep(*words(stage, raw, whole))
        kills = starts = 0
        while kills < options.kills and starts < 3 * options.kills:
            # Later starts have less left to do, so the kill comes sooner.
            after_s = chance.uniform(0.1, 0.3 + seconds * (1 - kills / options.kills))
            kills += start_and_kill(words(stage, raw, disturbed), after_s)
            starts += 1
            if finished(disturbed, stage):
                remove(disturbed, stage)
        alexrep(*words(stage, raw, disturbed))
        figures[stage] = {
            "kills at work": kills,
            "starts": starts,
            "seconds whole": round(seconds, 2),
        }
        if tree(disturbed) != tree(whole):
            raise RuntimeError(f"{stage}: the disturbed run has other bytes")
        figures[f"{stage} equal"] = True
    print(keep("chaos-data", figures).read_text(encoding="utf-8"))


def finished(data: Path, stage: str) -> bool:
    """Tell whether a stage has its manifest."""
    return any((data / name).exists() for name in manifests(stage))


def manifests(stage: str) -> list[str]:
    """Return the path of a stage's manifest below the data folder."""
    paths = {"preprocess": "images/manifest.json", "pack": "shards/manifest.json"}
    return [paths.get(stage, f"{stage}.manifest.json")]


def remove(data: Path, stage: str) -> None:
    """Remove the outputs of a finished stage, so that there is something to kill again."""
    outputs = {"preprocess": ["images"], "pack": ["shards"]}
    sums = ["statistics/train", "statistics/total.npz", f"statistics/{stage}.plan.json"]
    for name in [*outputs.get(stage, sums), *manifests(stage)]:
        path = data / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
