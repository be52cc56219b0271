"""What a run needs, made new or from a checkpoint: nothing is written here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from alexrep.compute import precision
from alexrep.compute.processes import Processes
from alexrep.compute.rank import own_towers
from alexrep.config.recipe import Recipe
from alexrep.models import registry
from alexrep.training.data import TrainingData
from alexrep.training.job import Job, Position
from alexrep.training.optimiser import Momentum2012, groups
from alexrep.training.saving import set_generators


@dataclass(frozen=True)
class Resources:
    """What a run may use; it changes no result on one kind of device."""

    device: torch.device
    threads: int
    """Decoding threads."""
    processes: Processes = field(default_factory=Processes)
    """Those that share the work; by default this one alone."""
    say: Callable[[str], None] = lambda text: None
    """Says a line to the user."""


def assemble(
    chosen: Recipe,
    data: TrainingData,
    resources: Resources,
    content: dict[str, Any],
    signalled: Callable[[], str | None],
) -> Job:
    """Make model, optimiser and position, or take them from a checkpoint; nothing is written."""
    model = registry.build(chosen.model, len(data.train.classes), chosen.seed)
    towers = own_towers(chosen.compute.towers, resources.processes.local)
    compute = chosen.compute.model_copy(update={"towers": towers})
    precision.require_places(model, compute)
    device = precision.home(compute, resources.device)
    model = precision.place(model, compute, resources.device)
    rule = chosen.optimiser
    optimiser = Momentum2012(groups(model, rule.momentum, rule.weight_decay, rule.layer_decays))
    if content:
        model.load_state_dict(content["state_dict"])
        optimiser.load_state_dict(content["optimizer"])
        set_generators(content["rng"], resources.device)
    else:
        # Nothing of ours draws from torch's own generators; a network of others may.
        torch.manual_seed(chosen.seed)
    job = Job(
        recipe=chosen,
        model=model,
        optimiser=optimiser,
        train=data.train,
        val=data.val,
        inputs=data.inputs(chosen).to(device),
        device=device,
        threads=resources.threads,
        position=Position(**content["sampler"]) if content else Position(),
        record=lambda row: None,
        save=lambda is_best: None,
        signalled=signalled,
        progress=lambda num: None,
        processes=resources.processes,
        say=resources.say,
    )
    if content and job.average is not None:
        job.average.load(content["average"])
    return job
