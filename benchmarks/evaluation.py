"""Ten-crop beside single-crop, in crops per second, on decoded images in memory.

    python benchmarks/evaluation.py [--recipe alexnet-2012] [--device cuda] [--batch 64]

The network has its full size and 1,000 classes; the images are random. In each round a batch
is answered ten times by its centre patch, and once by ten: as many crops of as many images. The
two take turns, first the one and then the other, and the ratio of a round is kept. On a CPU it is
the processor's time that counts, so that other work on the machine weighs little; on a GPU, the
clock's. Both views at once are timed too: they need no eleventh patch.
Target: ten-crop at least 0.9 of single-crop.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from record import keep
from torch import Tensor

from alexrep.compute import precision
from alexrep.compute.precision import Network
from alexrep.config import recipes
from alexrep.evaluation.evaluate import probabilities_of_views
from alexrep.feed.normalise import make_inputs
from alexrep.models import registry

TARGET = 0.9
KINDS = {"centre": ("centre",), "ten-crop": ("ten-crop",), "both": ("centre", "ten-crop")}
CROPS = 10


def seconds(work: Callable[[], object], times: int, device: torch.device) -> float:
    """Return the seconds that `times` calls take, until the device has done them."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    for _ in range(times):
        work()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def answers(options: argparse.Namespace) -> Callable[[str], dict[str, Tensor]]:
    """Return what answers one batch by a kind of views."""
    recipe, device = recipes.load(options.recipe), torch.device(options.device)
    side, patch = recipe.prepared_side or 256, recipe.model.side
    mean, axes = torch.full((side, side, 3), 120.0).numpy(), torch.eye(3).numpy()
    inputs = make_inputs(mean, axes, axes[0], patch, 0.1, True).to(device)
    compute = precision.on_one_device(recipe.compute)
    model = precision.place(registry.build(recipe.model, 1000, 1), compute, device)
    network = Network(model, compute, device).eval()
    torch.manual_seed(1)
    images = torch.randint(256, (options.batch, side, side, 3), dtype=torch.uint8).to(device)
    return lambda kind: probabilities_of_views(network, images, KINDS[kind], inputs)


def main() -> None:
    """Measure, print and keep."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--recipe", default="alexnet-2012")
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--name", default="evaluation", help="of the file in results")
    given = options.parse_args()
    device, answer = torch.device(given.device), answers(given)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with torch.inference_mode():
        answer("both")
        for number in range(given.rounds):
            # Whoever comes first may find another machine than who comes last.
            for kind in list(KINDS)[:: 1 if number % 2 else -1]:
                repeats = CROPS if kind == "centre" else 1
                took = seconds(lambda kind=kind: answer(kind), repeats, device)  # type: ignore[misc]
                times[kind].append(took)
    ratios = [one / ten for one, ten in zip(times["centre"], times["ten-crop"], strict=True)]
    figures = {
        "recipe": given.recipe,
        "device_used": str(device),
        "threads": torch.get_num_threads(),
        "batch": given.batch,
        "crops_per_s": {
            kind: round(CROPS * given.batch / median(took), 1) for kind, took in times.items()
        },
        "ten_crop_over_centre": round(median(ratios), 3),
        "least_and_most": [round(min(ratios), 3), round(max(ratios), 3)],
        "target": TARGET,
    }
    print(json.dumps(figures, indent=1))
    print(keep(given.name, figures))


if __name__ == "__main__":
    main()
