"""A training step of the full net in images per second, beside torchvision's and a naive net.

    python benchmarks/step.py FOLDER [--quick] [--only steps normalisation fed] [--device cuda]

- steps: forward, backward and update without feed, for each precision, layout, with and
  without torch.compile, and each batch size. Contestants: the network in both its forms;
  torchvision's AlexNet (another network: one tower, no normalisation); and the network
  written naively, with nn.LocalResponseNorm and grouped convolutions. They run in turn, so
  that other load on the machine affects all. Also the share of the rate of a large matrix
  product, which is measured, too.
- normalisation: that of conv1, across maps, forward and backward, in copies of the same bytes
  on the device; beside torch's. Target: at most 2 copies each way.
- fed: training as in `alexrep train`, from JPEGs, for a minute on 20,000 distinct images.
  Target on one H200, bf16, batch 256: 40,000 images per second.

Each row is saved once it is measured. Rows of other calls on the same machine stay, so that the
settings may be divided among calls: --precision, --layout, --compile, --batch. --quick is for a
CPU: batch 128, few rounds, few images.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import record
import step_images
import step_measure
import step_nets
import torch
from pydantic import JsonValue
from rounds import alternate

from alexrep.compute import precision
from alexrep.config.model import AlexNetModel
from alexrep.config.recipe import Compute
from alexrep.models.alexnet.tower import map_sides
from alexrep.pool import default_threads

PARTS = ("steps", "normalisation", "fed")
NAME = "step"
NETS = tuple(step_nets.all_of_them(224, 1.0))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Read the options; defaults depend on the device."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder for images; existing ones are reused")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--layout", nargs="+", choices=["first", "last"], default=["last", "first"])
    parser.add_argument("--compile", nargs="+", choices=["no", "yes"], default=["no", "yes"])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--form", choices=["towers", "joined"], help="form of the fed network")
    parser.add_argument("--batch", nargs="+", type=int)
    parser.add_argument("--steps", type=int, help="steps per round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--images", type=int, help="images to make for the fed steps")
    parser.add_argument("--seconds", type=float, help="length of the fed training")
    parser.add_argument("--threads", type=int, default=default_threads(), help="decoding threads")
    parser.add_argument("--data", type=Path, help="prepared images to use instead of made ones")
    parser.add_argument("--side", type=int, default=224, help="side of the patch, for a trial")
    parser.add_argument("--width", type=float, default=1.0, help="width of the net, for a trial")
    options = parser.parse_args(words)
    is_cuda = options.device.startswith("cuda")
    # Only NVIDIA GPUs have TF32.
    options.precision = options.precision or ["fp32", *(["tf32"] if is_cuda else []), "bf16"]
    options.batch = options.batch or ([128] if options.quick else [128, 256, 1024])
    options.form = options.form or ("joined" if is_cuda else "towers")
    options.steps = options.steps or (20 if is_cuda else 1)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.images = options.images or (512 if options.quick else 20_000)
    options.seconds = options.seconds or (10 if options.quick else 60)
    return options


def main(words: list[str] | None = None) -> None:
    """Measure; print and keep the figures."""
    options = parse(words)
    for part in options.only:
        {"steps": steps, "normalisation": normalisations, "fed": fed}[part](options)


def keep(part: str, row: str, figures: dict[str, JsonValue]) -> None:
    """Save a row beside the others of this machine."""
    path = record.RESULTS / f"{NAME}.json"
    saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    is_same = saved.get("machine") == record.machine()
    parts = {name: saved[name] if is_same and name in saved else {} for name in PARTS}
    parts[part][row] = figures
    record.keep(NAME, parts)
    print(f"{part}, {row}: {json.dumps(figures)}", flush=True)


def settings(options: argparse.Namespace) -> list[Compute]:
    """Return the settings of precision, layout and compilation to measure."""
    return [
        Compute(
            precision=rounding,
            channels_last=layout == "last",
            compile=compiled == "yes",
            form=options.form,
            deterministic=False,
        )
        for compiled, rounding, layout in product(
            options.compile, options.precision, options.layout
        )
    ]


def row_name(compute: Compute, batch: int) -> str:
    """Return the name of a setting's row."""
    layout = "last" if compute.channels_last else "first"
    compiled = "compiled" if compute.compile else "not compiled"
    return f"{compute.precision}, channels {layout}, {compiled}, batch {batch}"


def steps(options: argparse.Namespace) -> None:
    """Measure steps without the feed."""
    device = torch.device(options.device)
    makers = step_nets.all_of_them(options.side, options.width)
    nets = {name: makers[name] for name in options.nets}
    first = options.nets[0]
    operations = {name: step_nets.operations(make(), options.side) for name, make in nets.items()}
    for compute, batch in product(settings(options), options.batch):
        if compute.compile and (missing := precision.missing_compiler(device)):
            print(f"{row_name(compute, batch)}: left out, {missing}")
            continue
        torch.compiler.reset()
        # Grey levels minus their mean.
        images = 70 * torch.randn(batch, 3, options.side, options.side, device=device)
        is_half = compute.precision == "bf16"
        edge = 8192 if device.type == "cuda" else 2048
        contestants = {
            name: step_measure.bare(make(), compute, device, images, options.steps)
            for name, make in nets.items()
        }
        contestants["product"] = step_measure.product(edge, is_half, device, options.steps)
        with precision.settled(compute):
            seconds = alternate(contestants, options.rounds)
        most = 2 * edge**3 / seconds.pop("product")
        rates = {name: batch / taken for name, taken in seconds.items()}
        figures: dict[str, JsonValue] = {
            "images per second": {name: round(rate, 1) for name, rate in rates.items()},
            "share of the rate of a matrix product": {
                name: round(rate * operations[name] / most, 3) for name, rate in rates.items()
            },
            "matrix product, TFLOP/s": round(most / 1e12, 3),
            **{
                f"{first}, to {name}": round(rates[first] / rate, 2)
                for name, rate in rates.items()
                if name != first
            },
        }
        keep("steps", row_name(compute, batch), figures)


def normalisations(options: argparse.Namespace) -> None:
    """Measure the normalisation of conv1 in the joined form, each tower by itself."""
    device = torch.device(options.device)
    side = map_sides(AlexNetModel(side=options.side))["conv1"]
    num_maps = max(1, round(48 * options.width))
    forms = ["written out", "torch"]
    if "yes" in options.compile and precision.missing_compiler(device) is None:
        forms.append("compiled")
    for rounding, batch in product(options.precision, options.batch):
        dtype = torch.bfloat16 if rounding == "bf16" else torch.float32
        if rounding == "tf32":
            continue
        maps = 70 * torch.randn(batch, 2, num_maps, side, side, device=device).to(dtype)
        for form in forms:
            if form == "torch" and dtype == torch.bfloat16 and device.type == "cpu":
                continue  # not in torch
            torch.compiler.reset()
            # torch's has no groups: the towers become further images of the batch.
            shaped = maps.flatten(0, 1) if form == "torch" else maps
            seconds = alternate(step_measure.normalisation(shaped, form), options.rounds)
            copies: dict[str, JsonValue] = {
                f"{way}, copies (2)": round(seconds[way] / seconds["copy"], 2)
                for way in ("forward", "backward")
            }
            rate = 2 * maps.numel() * maps.element_size() / seconds["copy"] / 1e9
            figures = {**copies, "copy, GB/s": round(rate, 1)}
            keep("normalisation", f"{rounding}, {form}, batch {batch}", figures)


def fed(options: argparse.Namespace) -> None:
    """Measure steps with the feed."""
    images: dict[str, JsonValue] = {"images": str(options.data)}
    if options.data is None:
        data = step_images.prepared(options.folder, options.images, options.threads)
        images = step_images.facts(data.parent / "raw")
    for compute, batch in product(settings(options), options.batch):
        device = torch.device(options.device)
        if compute.compile and precision.missing_compiler(device):
            continue
        torch.compiler.reset()
        chosen = (
            *(f"compute.{key}={json.dumps(value)}" for key, value in compute.model_dump().items()),
            *(f"feed.batch_size={batch}", f"model.side={options.side}"),
            f"model.width={options.width}",
        )
        figures = step_measure.fed(
            options.data or data, chosen, device, options.threads, options.seconds
        )
        keep("fed", f"{row_name(compute, batch)}, {options.form}", {**images, **figures})


if __name__ == "__main__":
    main()
