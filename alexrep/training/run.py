"""A training run in its folder: begun, gone on with, finished."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue

from alexrep import files, manifest
from alexrep.compute import precision
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.evaluation.scores import Scores
from alexrep.feed.dataset import TrainingData
from alexrep.manifest import Manifest, Plan
from alexrep.models import count, registry
from alexrep.runs import checkpoint, environment, resume_conditions
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row
from alexrep.runs.record import Record
from alexrep.runs.saver import Saver
from alexrep.shards import subset
from alexrep.training import epoch, groups, loop, resume
from alexrep.training.groups import parameter_groups
from alexrep.training.job import Job, Resources, assemble
from alexrep.training.saving import CheckpointPolicy


def make_plan(chosen: Recipe, data: TrainingData) -> Plan:
    """State what decides the weights."""
    fields: dict[str, JsonValue] = json.loads(chosen.model_dump_json())
    return Plan(
        stage="train",
        settings=dict(_flat(fields)),
        seed=chosen.seed,
        inputs={**data.digests, "classes": data.train.classes.digest()},
    )


def check(chosen: Recipe, data: TrainingData) -> None:
    """Refuse a recipe that cannot run on this data, before anything is written.

    Raises:
        ConfigError: If the network cannot be made so, the schedule names a layer that it
            has not, the patch is larger than the images, or a tower's device is not there.
    """
    data.inputs(chosen)
    model = registry.build(chosen.model, len(data.train.classes), chosen.seed)
    precision.require_places(model, chosen.compute)
    found = parameter_groups(model, layer_decays=chosen.optimiser.layer_decays)
    groups.require_layers(chosen.schedule, [group["layer"] for group in found])


def run(
    chosen: Recipe,
    data: TrainingData,
    folder: RunFolder,
    source: Path,
    resources: Resources,
    progress: Callable[[int], None],
    signalled: Callable[[], str | None],
    owned: Callable[[], None] = files.nothing,
    before: Callable[[int], None] = lambda num: None,
) -> Manifest:
    """Train to the end, from the newest whole checkpoint if there is one.

    Args:
        chosen: The recipe.
        data: What to train on.
        folder: Where the run lives; the caller holds its lock.
        source: The data folder, whose mean image and colour axes are copied to the run.
        resources: Device and threads.
        progress: Told the number of training images of each step.
        signalled: Tells the signal that has come, as `interruption.flagged` yields it.
        owned: Raises if the folder is no longer ours, as `lock.held` yields it.
        before: Told the number of training images that the run has seen before this start.

    Raises:
        Interrupted: If a signal stopped it; a checkpoint has been saved.
        DataError: If there are checkpoints, but none is whole.
        ManifestError: If the run may not go on like this; see `resume.find`.
        AlexrepError: If the loss is no longer finite, or another process took over.
    """
    plan = make_plan(chosen, data)
    now = resume_conditions.describe(chosen, resources.device, resources.processes.size)
    with contextlib.ExitStack() as stack:
        with resources.processes.refusal_told():
            start = resume.find(chosen, folder, now)
            _describe(chosen, folder, source, data, resources, owned)
            size = start.content["log_size"] if start else None
            record = Record(folder, size, start.position.step if start else 0, owned)
            stack.enter_context(contextlib.closing(record))
        content = resources.processes.from_first(start.content if start else {})
        job = assemble(chosen, data, resources, content, signalled)
        job.record, job.show, job.progress = record.row, record.show, progress
        saver = stack.enter_context(Saver(folder, owned, start is None or start.is_last))
        saving = CheckpointPolicy(job, data, saver, now, record.tell, owned)
        job.save, job.is_due, job.saved = saving.save, saving.is_due, saver.wait
        before(_num_seen(job))
        for remark in start.remarks if start is not None else ():
            job.event(remark)
        if record.missing:
            resources.say(record.missing)
        count.save(folder.layers, job.model, chosen.model.side, owned)
        scores = loop.train(job)
    return _finish(plan, folder, job, scores, owned)


def rehearse(chosen: Recipe, data: TrainingData, folder: RunFolder, resources: Resources) -> Row:
    """Make a few steps from where the run is, and write nothing.

    Returns:
        As `loop.rehearse`, and the `epoch` and `step` that the run would go on from.

    Raises:
        DataError: If there are checkpoints, but none is whole.
        ManifestError: If the run may not go on like this; see `resume.find`.
        AlexrepError: If the loss is not finite.
    """
    now = resume_conditions.describe(chosen, resources.device, resources.processes.size)
    with resources.processes.refusal_told():
        start = resume.find(chosen, folder, now)
    content = resources.processes.from_first(start.content if start else {})
    job = assemble(chosen, data, resources, content, lambda: None)
    where: Row = {"epoch": job.position.epoch, "step": job.position.step}
    return {**where, **loop.rehearse(job)}


def follow(
    chosen: Recipe,
    data: TrainingData,
    resources: Resources,
    signalled: Callable[[], str | None],
    dry_run: bool = False,
) -> None:
    """Take part in a run that the first process leads; write nothing.

    Raises:
        AlexrepError: If another process fails; it is named.
        SystemExit: With the exit code of an error that all processes have come to.
    """
    content = resources.processes.from_first(None)
    if content is not None:
        job = assemble(chosen, data, resources, content, signalled)
        loop.rehearse(job) if dry_run else loop.train(job)


def _describe(
    chosen: Recipe,
    folder: RunFolder,
    source: Path,
    data: TrainingData,
    resources: Resources,
    owned: Callable[[], None],
) -> None:
    """Write what the run is, for readers of the folder."""
    facts = precision.facts(chosen.compute, resources.device, resources.processes.size)
    files.write_json(folder.path / "environment.json", {**environment.describe(), **facts}, owned)
    for name, content in _inputs(chosen, data, source).items():
        files.write_bytes(folder.path / name, content, owned)


def restore(
    chosen: Recipe,
    data: TrainingData,
    folder: RunFolder,
    source: Path,
    owned: Callable[[], None] = files.nothing,
) -> list[str]:
    """Write what a finished run's folder lacks of what a run repeats of its inputs; name it."""
    inputs = _inputs(chosen, data, source)
    lost = [name for name in inputs if not (folder.path / name).exists()]
    for name in lost:
        files.write_bytes(folder.path / name, inputs[name], owned)
    return lost


def _inputs(chosen: Recipe, data: TrainingData, source: Path) -> dict[str, bytes]:
    """Return the files of a run that repeat its inputs."""
    return {
        "recipe.toml": recipes.dump(chosen).encode(),
        "classes.json": files.to_json(data.train.classes.rows()).encode(),
        **{name: (source / name).read_bytes() for name in ("mean.npy", "pca.json")},
    }


def _finish(
    plan: Plan, folder: RunFolder, job: Job, scores: Scores, owned: Callable[[], None]
) -> Manifest:
    """Write the run's manifest."""
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
        "train images": len(subset.indices(job.train)),
        "val images": len(subset.indices(job.val)) + job.val.num_quarantined,
        "val quarantined": job.val.num_quarantined,
        "parameters": sum(one.numel() for one in job.model.parameters()),
    }
    outputs = {folder.layers.name: files.sha256_file(folder.layers)}
    return manifest.finish(plan, folder.manifest, counts, outputs, details, owned)


def _num_seen(job: Job) -> int:
    """Return how many training images the run has seen; an epoch that has ended counts once."""
    position = job.position
    rest = position.seen if position.batch else 0
    return position.epoch * epoch.num_images(job.recipe, job.train) + rest


def _flat(table: dict[str, JsonValue], prefix: str = "") -> list[tuple[str, JsonValue]]:
    """Give nested fields dotted names, so that a difference names the field."""
    flat: list[tuple[str, JsonValue]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{key}.")
        else:
            flat.append((prefix + key, value))
    return flat
