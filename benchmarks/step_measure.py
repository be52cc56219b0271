"""Measures a training step: bare, fed, and single operations of the device."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from rounds import Measure
from torch import Tensor, nn
from torch.nn import functional

from alexrep.compute import precision
from alexrep.config import recipes
from alexrep.config.optimiser import Momentum2012Rule
from alexrep.config.recipe import Compute
from alexrep.feed import dataset as inputs
from alexrep.feed.batches import Batch, Reader
from alexrep.models import dropout
from alexrep.models.alexnet.network import AlexNet
from alexrep.models.normalisation import AcrossMaps
from alexrep.runs.session import Session
from alexrep.training import epoch, step
from alexrep.training import optimiser as optimisers
from alexrep.training.job import Job, assemble
from alexrep.training.request import Resources
from alexrep.training.throughput import Throughput

RATE = 1e-6
"""So small that the weights do not change, as their values affect the speed."""


def wait(device: torch.device) -> None:
    """Wait until a device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bare(
    network: nn.Module, compute: Compute, device: torch.device, images: Tensor, steps: int
) -> Measure:
    """Return a measure of the seconds of a step without feed: forward, backward, update."""
    if isinstance(network, AlexNet):
        compute = compute.model_copy(update={"form": network.form})
    placed = precision.place(network, compute, device).train()
    computed = precision.Network(placed, compute, device)
    optimiser = optimisers.build(Momentum2012Rule(), placed)
    for group in optimiser.param_groups:
        group["rate"] = RATE
    labels = torch.arange(len(images), device=device) % 1000
    keys = dropout.keys(1, 0, torch.arange(len(images)))
    dropout.set_keys(placed, keys.to(device))

    def measure() -> float:
        wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            placed.zero_grad(set_to_none=True)
            torch.autograd.backward(functional.cross_entropy(computed(images), labels))
            optimiser.step()
        wait(device)
        return (time.perf_counter() - start) / steps

    return measure


def product(side: int, half: bool, device: torch.device, times: int) -> Measure:
    """Return a measure of the seconds of a product of two square matrices."""
    dtype = torch.bfloat16 if half else torch.float32
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)

    def measure() -> float:
        wait(device)
        start = time.perf_counter()
        for _ in range(times):
            torch.mm(left, right, out=out)
        wait(device)
        return (time.perf_counter() - start) / times

    return measure


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Return the seconds that a device takes for `work`, without launch times."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    # Keeps the device busy for milliseconds, until all of `work` is in its queue.
    torch.cuda._sleep(20_000_000)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def normalisation(maps: Tensor, form: str) -> dict[str, Measure]:
    """Return measures of a copy of `maps`, and of a form of normalisation forward and backward."""
    device, target = maps.device, torch.empty_like(maps)
    layer: Callable[[Tensor], Tensor] = AcrossMaps()
    if form == "torch":
        layer = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2)
    if form == "compiled":
        layer = torch.compile(AcrossMaps(), fullgraph=True, dynamic=False)
    leaf, gradient = maps.detach().clone().requires_grad_(), torch.ones_like(maps)

    def backward() -> float:
        out = layer(leaf)
        return timed(device, lambda: torch.autograd.grad(out, leaf, gradient))

    return {
        "copy": lambda: timed(device, lambda: target.copy_(maps)),
        "forward": lambda: timed(device, lambda: layer(leaf)),
        "backward": backward,
    }


def fed(
    data: Path, settings: tuple[str, ...], device: torch.device, threads: int, seconds: float
) -> dict[str, JsonValue]:
    """Train as `alexrep train` does for some seconds after a warm-up; return rate and waits."""
    chosen = recipes.load("alexnet-170-256", (*settings, "compute.deterministic=false"))
    packed = inputs.open_data(data)
    job = assemble(chosen, packed, Resources(device, threads), {}, Session())
    # A GPU first tries out algorithms, and fills its queue.
    throughput, warm = Throughput(), 10 if device.type == "cuda" else 1
    with Reader(job.train, threads) as reader, precision.settled(chosen.compute):
        rates, pending = epoch.begin(job), deque[step.Outcome]()
        for number, (indices, batch) in enumerate(throughput.waiting(_endless(job, reader))):
            if number == warm:
                wait(device)
                throughput.restart()
            pending.append(step.make(job, indices, batch, rates))
            while len(pending) > job.lag:
                outcome = pending.popleft()
                if job.lag:
                    outcome.settle(job)
            if number >= warm:
                throughput.count(len(indices))
                if float(str(throughput.read()["seconds"])) > seconds:
                    break
        wait(device)
    packed.close()
    return {**throughput.read(), "decoding threads": threads, "steps": number + 1 - warm}


def _endless(job: Job, reader: Reader) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Yield the batches of the same epoch again and again."""
    while True:
        yield from epoch.shares(job, reader, epoch.batches(job.recipe, job.train, 0))
