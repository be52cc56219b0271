"""What the training loop works with: where the run is, and everything that it needs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alexrep.compute.gradients import Gradients
from alexrep.compute.precision import Network
from alexrep.compute.processes import Processes
from alexrep.config.recipe import Recipe
from alexrep.feed import draws
from alexrep.feed.augment import Inputs
from alexrep.runs.log import Row
from alexrep.shards import limit
from alexrep.shards.read import Split
from alexrep.training.average import Average
from alexrep.training.optimiser import Momentum2012


@dataclass
class Position:
    """Where a run is; with weights and velocities, all that a restart needs."""

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


@dataclass
class Job:
    """Everything that the loop works with."""

    recipe: Recipe
    model: nn.Module
    """The network, on its device or devices."""
    optimiser: Momentum2012
    train: Split
    val: Split
    inputs: Inputs
    device: torch.device
    """Where the patches are made."""
    threads: int
    position: Position
    record: Callable[[Row], None]
    """Takes a row of the log."""
    save: Callable[[bool], None]
    """Saves a checkpoint; told whether it is the best so far."""
    signalled: Callable[[], str | None]
    """Tells the signal that has come to this process."""
    progress: Callable[[int], None]
    """Told the number of training images of each step, over all processes."""
    is_due: Callable[[], bool] = lambda: False
    """Asked after each step whether a checkpoint is due; the first process's answer counts."""
    show: Callable[[NDArray[np.uint8], int], None] | None = None
    """Shows inputs, RGB in grey levels, uint8 (N, P, P, 3), of a step."""
    saved: Callable[[], None] = lambda: None
    """Returns once the last checkpoint is on disk."""
    say: Callable[[str], None] = lambda text: None
    """Says a line to the user."""
    processes: Processes = field(default_factory=Processes)
    """Those that share the work; by default this one alone."""
    last_loss: float | None = None
    """Loss of the last step since this start."""
    network: Network = field(init=False)
    """The model, computed as the recipe says."""
    average: Average | None = field(init=False, default=None)
    """The running average of the weights, if the recipe asks for one."""
    gradients: Gradients = field(init=False)
    """The gradients of all processes."""
    layers: list[str] = field(init=False)
    """Layers that rates are for."""
    labels: NDArray[np.int64] = field(init=False)
    """Label of each training image, permuted if the recipe says so."""

    def __post_init__(self) -> None:
        """Make what follows from the rest."""
        compute = self.recipe.compute
        self.network = Network(self.model, compute, self.device)
        self.gradients = Gradients(self.model, self.processes)
        if compute.ema:
            self.average = Average(self.model, compute.ema)
        self.layers = list(dict.fromkeys(group["layer"] for group in self.optimiser.param_groups))
        self.labels = self.train.labels
        if self.recipe.feed.shuffle_labels:
            places = limit.places(self.train)
            self.labels = self.labels.copy()
            self.labels[places] = draws.shuffled_labels(self.labels[places], self.recipe.seed)

    @property
    def lag(self) -> int:
        """Steps after which a step's loss is read: reading at once would halt a GPU."""
        return 1 if self.device.type == "cuda" else 0

    def event(self, text: str) -> None:
        """Log something that happened, and say it."""
        self.record({"kind": "event", "step": self.position.step, "text": text})
        self.say(text)
