"""What a checkpoint of a run contains, and which checkpoints are kept."""

import dataclasses
import json
from typing import Any

import torch

from alexrep.config.recipe import Recipe
from alexrep.feed.dataset import TrainingData
from alexrep.runs.resume_conditions import Conditions
from alexrep.runs.saver import Also
from alexrep.training import generators
from alexrep.training.job import Job


def save(job: Job, is_best: bool = False) -> None:
    """Begin to save a checkpoint in a session with a folder; all ranks must call it."""
    rng = generators.states_of_all(job.device, job.processes)
    if job.session.writes:
        errors = job.position.errors
        also = Also(is_best, _kept_epoch(job), errors[-1] if errors else None)
        job.session.save(_content(job, rng), also)


def constants(recipe: Recipe, data: TrainingData, conditions: Conditions) -> dict[str, Any]:
    """Return the constant part of a run's checkpoints, so that they can be read without the data.

    Args:
        recipe: The recipe.
        data: What is trained on.
        conditions: What must match for a resume to be bit-exact.
    """
    own = data.constants(recipe)
    return {
        "config": json.loads(recipe.model_dump_json(exclude_none=True)),
        "classes": data.train.classes.rows(),
        "inputs": {
            "mean": torch.from_numpy(own.mean),
            "factors": list(own.factors),
            "axes": data.axes.tolist(),
            "stds": data.stds.tolist(),
            "side": data.train.side,
            "geometry": data.train.geometry,
        },
        "conditions": conditions,
    }


def _content(job: Job, rng: dict[str, Any]) -> dict[str, Any]:
    position = job.position
    content = {
        "state_dict": job.model.state_dict(),
        "epoch": position.epoch,
        "step": position.step,
        **job.constants,
        "best": {"epoch": position.best_epoch, "val_top1_error": position.best_error},
        "optimizer": job.optimiser.state_dict(),
        "sampler": dataclasses.asdict(position),
        "rng": rng,
    }
    if job.average is not None:
        content["average"] = job.average.state()
    return content


def _kept_epoch(job: Job) -> int | None:
    """Return the number of finished epochs if their checkpoint is kept for good, else None."""
    position, every = job.position, job.recipe.checkpoints.keep_epochs
    is_epochs_end = position.batch == 0 and position.validated == position.epoch > 0
    return position.epoch if every and is_epochs_end and position.epoch % every == 0 else None
