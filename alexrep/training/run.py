"""A training run in its folder: begun, gone on with, finished."""

import contextlib
from collections.abc import Callable

from pydantic import JsonValue

from alexrep import files, locks, manifest
from alexrep.compute import precision
from alexrep.evaluation.scores import Scores
from alexrep.manifest import Manifest
from alexrep.models import layer_table
from alexrep.runs import checkpoint, environment, resume_conditions
from alexrep.runs.session import RunSession, Session, Signal
from alexrep.shards import subset
from alexrep.training import epoch, loop, resume, saving
from alexrep.training.job import Job, assemble
from alexrep.training.request import Request, copied_inputs
from alexrep.training.watcher import Watcher


def finished(request: Request) -> Manifest | None:
    """Return the record of a run that is finished; None if there is something to train.

    The other processes then end. No lock is taken and nothing is written, unless the run lacks
    copies of its inputs: those are made anew.

    Raises:
        ManifestError: If the folder holds another run, or is not as the mode wants it.
        DataError: If a finished run has no whole checkpoint.
    """
    with request.resources.processes.failure_shared():
        record, _ = resume.foresee(request.plan, request.folder, request.mode)
        if record is None:
            return None
        if _lost(request):
            with locks.held(request.run) as check:
                _restore(request, check)
    request.resources.processes.from_first(None)
    return record


def lead(
    request: Request,
    signal: Signal,
    progress: Callable[[int], None] = lambda num: None,
    before: Callable[[int], None] = lambda num: None,
    watcher: Watcher | None = None,
) -> Manifest:
    """Train to the end in the run's folder, from the newest whole checkpoint if there is one.

    Remarks go to the resources' `say` as they come up. A run that another process has finished
    meanwhile is left as it is.

    Args:
        request: What is asked for.
        signal: Tells the signal that has come, as `signals.flagged` yields it.
        progress: Told the number of training images of each step.
        before: Told the number of training images that the run has seen before this start.
        watcher: Is told how the training goes; by default nobody.

    Raises:
        Interrupted: If a signal stopped it; a checkpoint has been saved.
        DataError: If there are checkpoints, but none is whole.
        ManifestError: If the run may not go on like this, see `resume.find`, or another process
            writes to the folder.
        AlexrepError: If the loss is no longer finite, or another process took over.
    """
    folder, processes = request.folder, request.resources.processes
    with contextlib.ExitStack() as stack:
        with processes.failure_shared():
            resume.require(folder, request.mode)
            check = stack.enter_context(locks.held(folder.path))
            record = resume.begin(request.plan, folder, request.mode)
        if record is not None:
            processes.from_first(None)
            return record
        for text in resume.remark(folder), epoch.remark(request.recipe, request.data.train):
            if text is not None:
                request.resources.say(text)
        return _train(request, check, signal, progress, before, watcher or Watcher())


def _train(
    request: Request,
    check: Callable[[], None],
    signal: Signal,
    progress: Callable[[int], None],
    before: Callable[[int], None],
    watcher: Watcher,
) -> Manifest:
    """Train in a folder whose lock is held."""
    recipe, folder, resources = request.recipe, request.folder, request.resources
    conditions = resume_conditions.describe(recipe, resources.device, resources.processes.size)
    with contextlib.ExitStack() as stack:
        with resources.processes.failure_shared():
            start = resume.find(recipe, folder, conditions)
            _describe(request, check)
            session = RunSession(folder, check, signal, recipe.checkpoints, start)
            stack.enter_context(session.opened())
        content = resources.processes.from_first(start.content if start else {})
        constants = saving.constants(recipe, request.data, conditions)
        job = assemble(
            recipe, request.data, resources, content, session, constants, progress, watcher
        )
        before(_num_seen(job))
        if start is not None:
            watcher.goes_on(job.position.epoch, job.position.step)
        for remark in start.remarks if start is not None else ():
            job.event(remark)
        layer_table.save(folder.layers, job.model, recipe.model.side, check)
        scores = loop.train(job)
    return _finish(request, job, scores, check)


def follow(request: Request, signal: Signal, dry_run: bool = False) -> None:
    """Take part in a run that the first process leads; write nothing.

    Raises:
        AlexrepError: If another process fails; it is named.
        SystemExit: With the exit code of an error that all processes have come to.
    """
    content = request.resources.processes.from_first(None)
    if content is not None:
        job = assemble(request.recipe, request.data, request.resources, content, Session(signal))
        loop.rehearse(job) if dry_run else loop.train(job)


def _describe(request: Request, check: Callable[[], None]) -> None:
    """Write what the run is, for readers of the folder."""
    resources, path = request.resources, request.run
    facts = precision.facts(request.recipe.compute, resources.device, resources.processes.size)
    files.write_json(
        path / "environment.json", {**environment.describe(), **environment.code(), **facts}, check
    )
    files.write_json(request.folder.data, request.data.details, check)
    for name, content in copied_inputs(request).items():
        files.write_bytes(path / name, content, check)


def _lost(request: Request) -> list[str]:
    """Name the copies of its inputs that a finished run lacks."""
    return [name for name in copied_inputs(request) if not (request.run / name).exists()]


def _restore(request: Request, check: Callable[[], None]) -> None:
    """Write the copies of its inputs that a finished run lacks, and name them."""
    lost, inputs = _lost(request), copied_inputs(request)
    for name in lost:
        files.write_bytes(request.run / name, inputs[name], check)
    if lost:
        request.resources.say(f"{request.run}: {', '.join(lost)} missing, made anew")


def _finish(request: Request, job: Job, scores: Scores, check: Callable[[], None]) -> Manifest:
    """Write the run's manifest."""
    position, folder = job.position, request.folder
    details: dict[str, JsonValue] = {
        "weights": checkpoint.weights_digest(job.model.state_dict()),
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
        "parameters": sum(parameter.numel() for parameter in job.model.parameters()),
    }
    outputs = {folder.layers.name: files.sha256_file(folder.layers)}
    return manifest.finish(request.plan, folder.manifest, counts, outputs, details, check)


def length(request: Request) -> int:
    """Return the length of the whole run, in training images; those that come again count."""
    recipe = request.recipe
    return recipe.schedule.epochs * epoch.num_images(recipe, request.data.train)


def _num_seen(job: Job) -> int:
    """Return how many training images the run has seen; an epoch that has ended counts once."""
    position = job.position
    rest = position.seen if position.batch else 0
    return position.epoch * epoch.num_images(job.recipe, job.train) + rest
