"""A training run in its folder: begun, gone on with, finished."""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue

from alexrep import files, manifest, recipe
from alexrep.errors import ConfigError, mismatch
from alexrep.manifest import Manifest, Plan
from alexrep.models import registry, table
from alexrep.runs import checkpoint, environment
from alexrep.runs import log as run_log
from alexrep.runs.folder import RunFolder
from alexrep.settings import REMARKS, Checkpoints, Recipe
from alexrep.shards import limit
from alexrep.training import epoch, loop, precision, schedule
from alexrep.training.data import TrainingData
from alexrep.training.job import Job, Position
from alexrep.training.optimiser import Momentum2012, groups
from alexrep.training.processes import Processes


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


def make_plan(chosen: Recipe, data: TrainingData) -> Plan:
    """State what decides the weights."""
    fields: dict[str, JsonValue] = json.loads(chosen.model_dump_json())
    return Plan(
        stage="train",
        settings=dict(_flat(fields)),
        seed=chosen.seed,
        inputs={**data.digests, "classes": data.train.classes.digest()},
    )


def begin(chosen: Recipe, data: TrainingData, folder: RunFolder) -> Manifest | None:
    """Compare a run with what stands in its folder; return its manifest if it is finished.

    Raises:
        ManifestError: If the folder is that of another run; the difference is named. What
            the recipes only say of themselves is none.
    """
    advice = "ask for the same, or name another run"
    plan = make_plan(chosen, data)
    return manifest.begin(plan, folder.manifest, folder.plan, advice, REMARKS)


def check(chosen: Recipe, data: TrainingData) -> None:
    """Refuse a recipe that cannot run on this data, before anything is written.

    Raises:
        ConfigError: If the network cannot be made so, the schedule names a layer that it
            has not, the patch is larger than the images, or a tower's device is not there.
    """
    if chosen.checkpoints != Checkpoints():
        advice = "leave these fields out: checkpoints are written after each epoch"
        raise ConfigError(mismatch("checkpoints", "the defaults", "others", advice))
    data.inputs(chosen)
    model = registry.build(chosen.model, len(data.train.classes), chosen.seed)
    precision.require_places(model, chosen.compute)
    found = groups(model, layer_decays=chosen.optimiser.layer_decays)
    schedule.require_layers(chosen.schedule, [group["layer"] for group in found])


def run(
    chosen: Recipe,
    data: TrainingData,
    folder: RunFolder,
    source: Path,
    resources: Resources,
    progress: Callable[[int], None],
    signalled: Callable[[], str | None],
    before: Callable[[int], None] = lambda num: None,
) -> Manifest:
    """Train to the end, from the last checkpoint if there is one.

    Args:
        chosen: The recipe.
        data: What to train on.
        folder: Where the run lives; the caller holds its lock.
        source: The data folder, whose mean image and colour axes are copied to the run.
        resources: Device and threads.
        progress: Told the number of training images of each step.
        signalled: Tells the signal that has come, as `interruption.flagged` yields it.
        before: Told the number of training images that the run has seen before this start.

    Raises:
        Interrupted: If a signal stopped it; a checkpoint has been saved.
        AlexrepError: If the loss is no longer finite.
    """
    plan = make_plan(chosen, data)
    _describe(chosen, folder, source, data, resources)
    log, job = _prepare(chosen, data, folder, resources, progress, signalled)
    before(_num_seen(job))
    with contextlib.closing(log):
        table.save(folder.layers, job.model, chosen.model.side)
        scores = loop.train(job)
    position, state = job.position, job.model.state_dict()
    details: dict[str, JsonValue] = {
        "weights": checkpoint.weights_digest(state),
        "val_top1_error": scores.top1_error,
        "val_top5_error": scores.top5_error,
        "best_epoch": position.best_epoch,
        "best_val_top1_error": position.best_error,
    }
    if position.stopped:
        details["stopped"] = position.stopped
    counts = {
        "epochs": position.epoch,
        "steps": position.step,
        "train images": len(limit.places(data.train)),
        "val images": len(limit.places(data.val)) + data.val.num_quarantined,
        "val quarantined": data.val.num_quarantined,
        "parameters": sum(one.numel() for one in job.model.parameters()),
    }
    outputs = {folder.layers.name: files.sha256_file(folder.layers)}
    return manifest.finish(plan, folder.manifest, counts, outputs, details)


def follow(
    chosen: Recipe, data: TrainingData, resources: Resources, signalled: Callable[[], str | None]
) -> None:
    """Take part in a run that the first process leads; write nothing.

    Raises:
        AlexrepError: If another process fails; it is named.
        SystemExit: With the exit code of an error that all processes have come to.
    """
    content = resources.processes.from_first(None)
    if content is not None:
        loop.train(_job(chosen, data, resources, content, signalled))


def _describe(
    chosen: Recipe, folder: RunFolder, source: Path, data: TrainingData, resources: Resources
) -> None:
    """Write what the run is, for readers of the folder."""
    files.write_bytes(folder.recipe, recipe.dump(chosen).encode())
    facts = precision.facts(chosen.compute, resources.device, resources.processes.size)
    files.write_json(folder.path / "environment.json", {**environment.describe(), **facts})
    files.write_json(folder.path / "classes.json", data.train.classes.rows())
    for name in ("mean.npy", "pca.json"):
        with files.whole(folder.path / name) as part:
            shutil.copyfile(source / name, part)


def _prepare(
    chosen: Recipe,
    data: TrainingData,
    folder: RunFolder,
    resources: Resources,
    progress: Callable[[int], None],
    signalled: Callable[[], str | None],
) -> tuple[run_log.Log, Job]:
    """Open the log and make the job, at the last checkpoint if there is one."""
    content: dict[str, Any] = {}
    last = folder.checkpoint("last")
    if last.exists():
        content = checkpoint.load(last)
        run_log.cut(folder.log, content["log_size"])
    else:
        files.make_folder(folder.path)
        folder.log.unlink(missing_ok=True)
    log = run_log.Log(folder.log)
    job = _job(chosen, data, resources, resources.processes.from_first(content), signalled)
    job.record, job.progress = log.append, progress
    job.save = lambda is_best: _save(job, data, folder, log.tell(), is_best)
    return log, job


def _job(
    chosen: Recipe,
    data: TrainingData,
    resources: Resources,
    content: dict[str, Any],
    signalled: Callable[[], str | None],
) -> Job:
    """Make model, optimiser and position, or take them from a checkpoint; nothing is written."""
    if chosen.compute.towers and resources.processes.size > 1:
        found = f"{resources.processes.size} processes"
        advice = "start one process, or leave compute.towers out"
        raise ConfigError(mismatch("compute.towers", "a run of one process", found, advice))
    model = registry.build(chosen.model, len(data.train.classes), chosen.seed)
    device = precision.home(chosen.compute, resources.device)
    model = precision.place(model, chosen.compute, resources.device)
    rule = chosen.optimiser
    optimiser = Momentum2012(groups(model, rule.momentum, rule.weight_decay, rule.layer_decays))
    if content:
        model.load_state_dict(content["state_dict"])
        optimiser.load_state_dict(content["optimizer"])
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


def _num_seen(job: Job) -> int:
    """Return how many training images the run has seen; an epoch that has ended counts once."""
    position = job.position
    rest = position.seen if position.batch else 0
    return position.epoch * epoch.num_images(job.recipe, job.train) + rest


def _save(job: Job, data: TrainingData, folder: RunFolder, log_size: int, is_best: bool) -> None:
    """Save the last checkpoint, and the best one before it: last is what a restart trusts."""
    content: dict[str, Any] = {
        "state_dict": job.model.state_dict(),
        "epoch": job.position.epoch,
        "step": job.position.step,
        "config": json.loads(job.recipe.model_dump_json(exclude_none=True)),
        "classes": data.train.classes.rows(),
        "inputs": {
            "mean": torch.from_numpy(data.mean),
            "axes": data.axes.tolist(),
            "stds": data.stds.tolist(),
            "side": data.train.side,
            "geometry": data.train.geometry,
        },
        "best": {"epoch": job.position.best_epoch, "val_top1_error": job.position.best_error},
    }
    if is_best:
        checkpoint.save(folder.checkpoint("best"), content)
    content["optimizer"] = job.optimiser.state_dict()
    if job.average is not None:
        content["average"] = job.average.state()
    content["sampler"] = dataclasses.asdict(job.position)
    content["log_size"] = log_size
    checkpoint.save(folder.checkpoint("last"), content)


def _flat(table: dict[str, JsonValue], prefix: str = "") -> list[tuple[str, JsonValue]]:
    """Give nested fields dotted names, so that a difference names the field."""
    flat: list[tuple[str, JsonValue]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{key}.")
        else:
            flat.append((prefix + key, value))
    return flat


def default_threads() -> int:
    """Return the number of decoding threads to use where none is asked for."""
    return min(8, len(os.sched_getaffinity(0)))
