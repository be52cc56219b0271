"""Ten classes of ILSVRC-2012 by the usual commands, at a quarter of the width.

    python benchmarks/real_input.py FOLDER [--raw RAW]

RAW has the subset's tars and devkit; it defaults to ilsvrc2012-dogs in ALEXREP_TEST_DATA.
Compared with chance, 90 % top-1 error.
"""

import argparse
import json
import os
from pathlib import Path

from pydantic import JsonValue
from record import alexrep, errors, keep, rows


def main() -> None:
    """Prepare, train and evaluate; keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--raw", type=Path)
    options = parser.parse_args()
    raw = options.raw or Path(os.environ["ALEXREP_TEST_DATA"]) / "ilsvrc2012-dogs"
    data, run = str(options.folder / "data"), options.folder / "run"
    seconds: dict[str, JsonValue] = {
        "preprocess": alexrep("preprocess", str(raw), data, "--partial", "--side", "128")
    }
    for stage in ("mean", "pca", "pack", "verify"):
        seconds[stage] = alexrep(stage, data)
    words = ("--run", str(run), "--recipe", "alexnet-quarter")
    seconds["train"] = alexrep("-q", "train", data, *words)
    for views in ((), ("--ten-crop",)):
        words = ("eval", str(run), "--data", data, *views)
        seconds[" ".join(("eval", *views))] = alexrep("-q", *words)
    alexrep("plot", str(run))
    epochs, steps = rows(run, "epoch"), rows(run, "step")
    rates = sorted(float(str(row["images_per_s"])) for row in epochs[1:])
    counts = json.loads((Path(data) / "images/manifest.json").read_text(encoding="utf-8"))["counts"]
    figures: dict[str, JsonValue] = {
        "counts": counts,
        "seconds": seconds,
        "training images per second, median of epochs": rates[len(rates) // 2],
        "first loss": steps[0]["loss"],
        "last loss": steps[-1]["loss"],
        "last epoch": epochs[-1],
        "val centre": errors(run, "val", "centre"),
        "val ten-crop": errors(run, "val", "ten-crop"),
    }
    print(keep("real-input", figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
