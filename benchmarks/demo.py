"""The demo for several seeds, its time, and the control with shuffled labels.

    python benchmarks/demo.py FOLDER [--seeds 1 2 3]

Each seed is a whole `alexrep demo` in its own folder. Compared with chance, 90 % error.
"""

import argparse
import shutil
from pathlib import Path

from pydantic import JsonValue
from record import RESULTS, alexrep, errors, keep

PICTURES = ("predictions", "curves", "kernels", "mean-image", "colour-axes")


def measure(folder: Path, *words: str) -> dict[str, JsonValue]:
    """Run one demo and return its errors and seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    seconds = alexrep("-q", "demo", str(folder), *words)
    figures: dict[str, JsonValue] = {"seconds": round(seconds, 1)}
    for split in ("val", "test"):
        for views in ("centre", "ten-crop"):
            result = errors(folder / "run", split, views)
            figures[f"{split} {views} top1_error"] = result["top1_error"]
            figures[f"{split} num_images"] = result["num_images"]
    return figures


def main() -> None:
    """Run every seed and the control; keep the figures, and the pictures of the first seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    figures: dict[str, JsonValue] = {}
    for seed in options.seeds:
        figures[f"seed {seed}"] = measure(options.folder / f"seed{seed}", "--seed", str(seed))
    control = measure(options.folder / "control", "--set", "feed.shuffle_labels=true")
    figures["control, labels shuffled"] = control
    print(keep("demo", figures).read_text(encoding="utf-8"))
    for name in PICTURES:
        source = options.folder / f"seed{options.seeds[0]}/run/plots/{name}.png"
        target = RESULTS / "demo" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


if __name__ == "__main__":
    main()
