"""This trainer beside torchvision's reference loop: the same network, data, threads and layout.

    python benchmarks/reference_loop.py FOLDER --data DATA [--recipe resnet18] [--batch-size 16]

Bare: forward, loss, backward and update on one batch in memory. Fed: from shards here, from an
ImageFolder of the same prepared squares there; random patch, reflection, mean and deviation. The
loop there is that of torchvision's references/classification: SGD, mean cross-entropy, top-1 and
top-5 of each batch. Processor seconds of all threads, in alternating rounds; wall seconds on a
GPU. Target: at least 0.97 of its images per second, in both.
"""

from collections.abc import Callable, Iterator
from typing import Any

import inputs
import torch
from pydantic import JsonValue
from record import alexrep, keep
from rounds import alternate, processor_seconds, wall_seconds
from torch import Tensor, nn
from torch.nn import functional

from alexrep.compute import precision
from alexrep.config import recipes
from alexrep.feed import dataset
from alexrep.feed.batches import Reader
from alexrep.models import registry
from alexrep.runs.session import Session
from alexrep.training import epoch, step
from alexrep.training.job import Job, assemble
from alexrep.training.request import Resources

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SETTINGS = (
    f"input={{kind='mean-std',mean={list(MEAN)},deviation={list(DEVIATION)}}}",
    "noise.scale=0",
    "optimiser={name='sgd',momentum=0.9,weight_decay=1e-4,decay_biases=true,decay_norms=true}",
    "schedule={epochs=90,weights={kind='step',start=1e-4,factor=0.1,every=30}}",
)
"""The reference's preparation and rule; a small rate, as the weights' values affect the speed."""
RATE = 1e-4
STEPS = 3
"""Steps of each contestant in a round."""


class Peer:
    """torchvision's loop, with this network."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        """Take the network and make the reference's optimiser."""
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.device = device
        parameters = self.network.parameters()
        self.optimiser = torch.optim.SGD(parameters, lr=RATE, momentum=0.9, weight_decay=1e-4)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Make one step, and count the batch's errors."""
        images, labels = images.to(self.device), labels.to(self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        outputs = self.network(images)
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        loss = functional.cross_entropy(logits, labels)
        for others in () if isinstance(outputs, Tensor) else outputs[1:]:
            loss = loss + 0.3 * functional.cross_entropy(others, labels)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        best = logits.topk(5).indices == labels[:, None]
        loss.item(), best[:, :1].sum().item(), best.sum().item()


def batches_of(folder: str, batch_size: int, side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of class folders for ever, augmented by torchvision's transforms."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    preset = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomCrop(side),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, DEVIATION),
        ]
    )
    images: Any = ImageFolder(folder, preset)
    loader = torch.utils.data.DataLoader(images, batch_size, shuffle=True, drop_last=True)
    while True:
        yield from loader


def own_steps(job: Job, reader: Reader) -> Callable[[], object]:
    """Return a function that trains one step as `alexrep train` does."""
    rates = epoch.begin(job)

    def endless() -> Iterator[Any]:
        while True:
            yield from epoch.shares(job, reader, epoch.batches(job.recipe, job.train, 0)[:-1])

    fed = endless()

    def run() -> None:
        indices, batch = next(fed)
        outcome = step.make(job, indices, batch, rates)
        if job.lag:
            outcome.settle(job)

    return run


def own_bare(job: Job, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """Return a function that makes one step of the same network on one batch."""

    def run() -> None:
        job.gradients.clear()
        first, *others = job.network.outputs(images)
        loss = functional.cross_entropy(first, labels)
        for logits in others:
            loss = loss + job.network.auxiliary_weight * functional.cross_entropy(logits, labels)
        torch.autograd.backward(loss)
        job.optimiser.step()
        best = first.topk(5).indices == labels[:, None]
        loss.item(), best[:, :1].sum().item(), best.sum().item()

    return run


def several(make_step: Callable[[], object]) -> Callable[[], None]:
    """Return a function that makes the steps of a round."""

    def run() -> None:
        for _ in range(STEPS):
            make_step()

    return run


def main() -> None:
    """Measure; print and keep the figures."""
    parser = inputs.parser(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recipe", action="append")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.set_defaults(rounds=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    name, data = inputs.prepared(options, "mean", "pca", "pack")
    classes = options.folder / "classes"
    if not classes.exists():
        alexrep("-q", "extract", str(data), str(classes))
    figures: dict[str, JsonValue] = {
        "images": name,
        "device": options.device,
        "threads": options.threads,
        "batch size": options.batch_size,
    }
    for recipe in options.recipe or ("resnet18", "googlenet"):
        figures[recipe] = measure(recipe, data, str(classes / "train"), options)
    print(keep("reference-loop", figures).read_text(encoding="utf-8"))


def measure(recipe: str, data: Any, folder: str, options: Any) -> dict[str, JsonValue]:  # noqa: ANN401
    """Measure one network's steps in turn; return images per second and their ratios."""
    device, size = torch.device(options.device), options.batch_size
    chosen = recipes.load(recipe, (*SETTINGS, f"feed.batch_size={size}"))
    seconds = wall_seconds if device.type == "cuda" else processor_seconds
    packed = dataset.open_data(data, statistics=chosen.statistics)
    with packed, Reader(packed.train, 1) as reader, precision.settled(chosen.compute):
        job = assemble(chosen, packed, Resources(device, 1), {}, Session())
        num_classes, side = len(packed.train.classes), chosen.model.side
        peer = Peer(registry.build(chosen.model, num_classes, chosen.seed), device)
        images = torch.randn(size, 3, side, side, device=device)
        images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.arange(size, device=device) % num_classes
        theirs = batches_of(folder, size, side)
        rates = alternate(
            {
                "bare": seconds(several(own_bare(job, images, labels))),
                "bare, reference": seconds(several(lambda: peer.step(images, labels))),
                "fed": seconds(several(own_steps(job, reader))),
                "fed, reference": seconds(several(lambda: peer.step(*next(theirs)))),
            },
            options.rounds,
        )
    per_second = {kind: round(STEPS * size / taken, 2) for kind, taken in rates.items()}
    ratios = {
        f"{kind}, of the reference (0.97)": round(rates[f"{kind}, reference"] / rates[kind], 3)
        for kind in ("bare", "fed")
    }
    return {"images per second": per_second, **ratios}


if __name__ == "__main__":
    main()
