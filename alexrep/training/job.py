"""What the training loop works with: the position of a run, and all objects it uses."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from alexrep.compute import batch_statistics, precision
from alexrep.compute.gradients import Gradients
from alexrep.compute.precision import Network
from alexrep.compute.processes import Processes
from alexrep.compute.rank import own_towers
from alexrep.config.recipe import Recipe
from alexrep.feed import draws
from alexrep.feed.dataset import TrainingData
from alexrep.feed.normalise import Inputs
from alexrep.models import registry
from alexrep.runs import checkpoint
from alexrep.runs.session import Session
from alexrep.shards import subset
from alexrep.shards.read import Split
from alexrep.training import generators, start
from alexrep.training import optimiser as optimisers
from alexrep.training.ema import MovingAverage
from alexrep.training.groups import layers_of
from alexrep.training.request import Resources
from alexrep.training.watcher import Watcher


@dataclass
class Position:
    """How far a run is; with weights and velocities, all that a resume needs."""

    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Finished batches of the present epoch."""
    step: int = 0
    """Finished steps."""
    seen: int = 0
    """Training images seen in the present epoch."""
    loss_sum: float = 0.0
    """Sum of their losses."""
    credit_sum: float = 0.0
    """Sum of their top-1 credits."""
    top5_credit_sum: float = 0.0
    """Sum of their top-5 credits; not a number if a part of them was not counted."""
    best_error: float = math.inf
    """Lowest val top-1 error so far."""
    best_epoch: int = -1
    """Epoch that it was measured after."""
    validated: int = -1
    """Epoch after which val was last scored."""
    errors: list[float] = field(default_factory=list)
    """Val top-1 error before the first epoch and after each finished one."""
    lowest: float = math.inf
    """Lowest value so far of the metric that may end the run early."""
    waited: int = 0
    """Epochs since then."""
    stopped: str = ""
    """Why the run has ended before its last epoch; empty if it has not."""

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> "Position":
        """Return the position that a checkpoint holds; older ones count no top-5 credits."""
        uncounted = math.nan if saved["seen"] else 0.0
        return cls(**{"top5_credit_sum": uncounted, **saved})


@dataclass
class Job:
    """All objects that the loop works with."""

    recipe: Recipe
    model: nn.Module
    """The network, on its device or devices."""
    optimiser: Optimizer
    train: Split
    val: Split
    inputs: Inputs
    device: torch.device
    """Where the patches are made."""
    threads: int
    position: Position
    session: Session
    """Writes rows and checkpoints, and tells signals."""
    progress: Callable[[int], None] = lambda num: None
    """Told the number of training images of each step, over all processes."""
    say: Callable[[str], None] = lambda text: None
    """Says a line to the user."""
    watcher: Watcher = field(default_factory=Watcher)
    """Is told how the training goes."""
    processes: Processes = field(default_factory=Processes)
    """The ranks; by default this process alone."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """The constant part of every checkpoint: recipe, classes, inputs, conditions."""
    last_loss: float | None = None
    """Loss of the last step since this start."""
    network: Network = field(init=False)
    """The model, computed as the recipe says."""
    average: MovingAverage | None = field(init=False, default=None)
    """The running average of the weights, if the recipe asks for one."""
    gradients: Gradients = field(init=False)
    """Sums the gradients over the ranks."""
    layers: list[str] = field(init=False)
    """Names of the layers with parameters."""
    labels: NDArray[np.int64] = field(init=False)
    """Label of each training image, permuted if the recipe says so."""

    def __post_init__(self) -> None:
        """Make what follows from the other fields."""
        compute = self.recipe.compute
        if compute.batch_statistics == "synchronised":
            batch_statistics.synchronise(self.model, self.processes)
        self.network = Network(self.model, compute, self.device)
        self.gradients = Gradients(self.model, self.processes)
        if compute.ema:
            self.average = MovingAverage(self.model, compute.ema)
        self.layers = layers_of(self.optimiser.param_groups)
        self.labels = self.train.labels
        if self.recipe.feed.shuffle_labels:
            indices = subset.indices(self.train)
            self.labels = self.labels.copy()
            self.labels[indices] = draws.shuffled_labels(self.labels[indices], self.recipe.seed)

    @property
    def lag(self) -> int:
        """Steps by which reading the loss lags behind: reading at once would stall a GPU."""
        return 1 if self.device.type == "cuda" else 0

    def event(self, text: str) -> None:
        """Log something that happened, and say it."""
        self.session.record({"kind": "event", "step": self.position.step, "text": text})
        self.say(text)


def assemble(
    recipe: Recipe,
    data: TrainingData,
    resources: Resources,
    content: Mapping[str, Any],
    session: Session,
    constants: Mapping[str, Any] = MappingProxyType({}),
    progress: Callable[[int], None] = lambda num: None,
    watcher: Watcher | None = None,
) -> Job:
    """Make model, optimiser and position, or take them from a checkpoint; nothing is written.

    Args:
        recipe: The recipe.
        data: What to train on.
        resources: Device, threads, processes.
        content: The checkpoint to go on from; empty for a run that begins.
        session: Where rows and checkpoints go.
        constants: The constant part of every checkpoint, see `saving.constants`.
        progress: Told the number of training images of each step.
        watcher: Is told how the training goes; by default nobody.
    """
    model = registry.build(recipe.model, len(data.train.classes), recipe.seed)
    weights = None if content else data.weights
    for remark in start.prepare(model, recipe, weights, len(data.train.classes)):
        if resources.processes.leads:
            resources.say(remark)
    towers = own_towers(recipe.compute.towers, resources.processes.local)
    compute = recipe.compute.model_copy(update={"towers": towers})
    precision.require_places(model, compute)
    device = precision.home(compute, resources.device)
    model = precision.place(model, compute, resources.device)
    job = Job(
        recipe=recipe,
        model=model,
        optimiser=optimisers.build(recipe.optimiser, model),
        train=data.train,
        val=data.val,
        inputs=data.inputs(recipe).to(device),
        device=device,
        threads=resources.threads,
        position=Position.restored(content["sampler"]) if content else Position(),
        session=session,
        constants=constants,
        progress=progress,
        watcher=watcher or Watcher(),
        processes=resources.processes,
        say=resources.say,
    )
    if content:
        restore(job, content)
    else:
        # Nothing of ours draws from torch's own generators; a network of others may.
        generators.seed(recipe.seed, resources.processes.rank)
    return job


def restore(job: Job, content: Mapping[str, Any]) -> None:
    """Put weights, velocities, averages and generators into the states of a checkpoint."""
    checkpoint.lay(content["state_dict"], job.model)
    optimisers.restore(job.optimiser, content["optimizer"])
    generators.restore(content["rng"], job.device, job.processes.rank)
    if job.average is not None:
        job.average.load(content["average"])
