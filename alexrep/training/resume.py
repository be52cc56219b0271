"""Resuming a run: whether it may go on, from which checkpoint, and what has changed."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alexrep import files, manifest
from alexrep.config import recipes
from alexrep.config.recipe import REMARKS, Recipe
from alexrep.errors import ConfigError, DataError, ManifestError, mismatch
from alexrep.manifest import Manifest, Plan
from alexrep.runs import checkpoint, log, resume_conditions
from alexrep.runs.checkpoint import Found
from alexrep.runs.folder import RunFolder
from alexrep.runs.resume_conditions import Conditions
from alexrep.training import stop
from alexrep.training.job import Position

MODES = ("auto", "never", "must")
"""Go on if there is a run, else begin; only begin; only go on."""
MAY_CHANGE = ("schedule.", "checkpoints.", "log.", "compute.kernels")
"""Fields of the recipe that may change in the middle of a run; the log then tells it. Which kernels
run is among the conditions of the same bits."""
ADVICE = "ask for the same, or name another run"
"""What to do where a folder holds another run."""
DETERMINISTIC = "compute.deterministic"
"""May be given up, so that a run can go on elsewhere."""


@dataclass(frozen=True)
class ResumePoint:
    """Where a run goes on from."""

    content: dict[str, Any]
    """The checkpoint."""
    is_last: bool
    """Whether it is the last checkpoint, and not one before it."""
    remarks: tuple[str, ...]
    """What the log is to tell: damaged checkpoints, changed fields, changed conditions."""


def require(folder: RunFolder, mode: str) -> None:
    """Refuse a folder that holds a run, or holds none, as `mode` says.

    Raises:
        ManifestError: If it does, or does not.
        ConfigError: If `mode` is unknown.
    """
    if mode not in MODES:
        raise ConfigError(mismatch("--resume", " or ".join(MODES), repr(mode), "choose one"))
    if mode == "never" and folder.holds_run:
        advice = "name another folder, or go on with --resume auto"
        raise ManifestError(mismatch(folder.path, "no run", "one that has begun", advice))
    if mode == "must" and not (folder.manifest.exists() or folder.resumable()):
        advice = "name the folder of a run, or begin one with --resume auto"
        found = "one without a checkpoint" if folder.plan.exists() else "none"
        raise ManifestError(mismatch(folder.path, "a run to go on with", found, advice))


def begin(plan: Plan, folder: RunFolder, mode: str = "auto") -> Manifest | None:
    """Compare `plan` with the one in the folder and record it, as `manifest.begin` does.

    Where nothing but fields that may change differs, the new plan takes the old one's place.
    What recipes only say of themselves is no difference.
    A finished run goes on only if it is to have more epochs.

    Raises:
        ManifestError: If anything else differs, or the folder is not as `mode` wants it.
        ConfigError: If `mode` is unknown.
    """
    finished, is_changed = foresee(plan, folder, mode)
    if is_changed:
        files.write_bytes(folder.plan, files.to_json(plan.model_dump()).encode())
        folder.manifest.unlink(missing_ok=True)
    return finished or manifest.begin(plan, folder.manifest, folder.plan, ADVICE, REMARKS)


def foresee(plan: Plan, folder: RunFolder, mode: str = "auto") -> tuple[Manifest | None, bool]:
    """Return or raise what `begin` would, and write nothing.

    Returns:
        The manifest if the run is finished; whether the plan in the folder has to be changed. A
        finished run whose last checkpoint is damaged or gone is not: it goes on from the one
        before.

    Raises:
        DataError: If there are checkpoints, but none is whole, or a finished run has none.
    """
    require(folder, mode)
    planned = manifest.planned(folder.manifest, folder.plan)
    finished = planned if isinstance(planned, Manifest) else None
    changed = _changed(plan, planned) if planned is not None else set()
    may_change = all(_may_change(key, plan.settings.get(key)) for key in changed)
    if changed and may_change and (finished is None or _has_more_epochs(plan, finished)):
        return None, True
    if not may_change or any(key.startswith("schedule.") for key in changed):
        finished = manifest.foresee(plan, folder.manifest, folder.plan, ADVICE, REMARKS)
    if finished is not None and not _ends_whole(folder):
        return None, True
    return finished, False


def _ends_whole(folder: RunFolder) -> bool:
    """Tell whether a finished run has its last checkpoint whole; else one before it is.

    Raises:
        DataError: If none is whole.
    """
    newest = checkpoint.newest(folder)
    if newest is None:
        advice = f"put a copy of one back, or remove {folder.manifest} to train anew"
        wanted = "the checkpoint of a finished run"
        raise DataError(mismatch(folder.checkpoint("last"), wanted, "none", advice))
    return newest.path == folder.checkpoint("last")


def remark(folder: RunFolder) -> str | None:
    """Say where a run that has begun starts if its last checkpoint is gone; None if it is not."""
    last, others = folder.checkpoint("last"), folder.resumable()
    if last.is_file() or not folder.log.exists():
        return None
    advice = f"goes on from {others[0].name}" if others else "begins anew"
    return mismatch(last, "the last checkpoint of a run that has begun", "none", advice)


def find(chosen: Recipe, folder: RunFolder, now: Conditions) -> ResumePoint | None:
    """Return where the run goes on from; None if it has to begin. Nothing is written.

    Raises:
        DataError: If there are checkpoints, but none is whole.
        ManifestError: If the newest is of another recipe, or a run that is to give the same
            bits goes on under other conditions.
        ConfigError: If the recipe has fewer epochs than have begun.
    """
    newest = checkpoint.newest(folder)
    if newest is None:
        return None
    position = Position.restored(newest.content["sampler"])
    _require_epochs(chosen, position)
    before = recipes.parse(newest.content["config"], str(newest.path))
    if chosen.schedule.stop != before.schedule.stop:
        rows = log.read(folder.log, newest.content["log_size"])
        position = stop.judge_again(chosen.schedule.stop, position, rows)
    content = {**newest.content, "sampler": asdict(position)}
    changes = _recipe_changes(chosen, before, newest.path)
    others = _other_conditions(chosen, newest, now)
    faults = (f"{fault}; went on from {newest.path.name}" for fault in newest.faults)
    return ResumePoint(
        content=content,
        is_last=newest.path == folder.checkpoint("last"),
        remarks=(*faults, *changes, *others),
    )


def _recipe_changes(chosen: Recipe, before: Recipe, path: Path) -> list[str]:
    # A recipe's name changes no number, but whoever finds it changed may have meant another run.
    said = tuple(f"{name}: " for name in REMARKS if name != "name")
    changes = [
        change for change in recipes.difference(before, chosen) if not change.startswith(said)
    ]
    for change in changes:
        key = change.partition(":")[0]
        if key != "name" and not _may_change(key, chosen.compute.deterministic):
            wanted, advice = "the run's recipe", "take checkpoints of one run only"
            raise ManifestError(mismatch(path, wanted, change, advice))
    return [f"the recipe has changed: {change}" for change in changes]


def _other_conditions(chosen: Recipe, newest: Found, now: Conditions) -> list[str]:
    before = newest.content["conditions"]
    others = resume_conditions.difference(before, now)
    # Initial weights are the same everywhere: all that is trained is trained under the new ones.
    if others and chosen.compute.deterministic and newest.content["step"] > 0:
        wanted = "the conditions that it was saved under"
        threads = before.get("torch_threads")  # none beside a GPU
        is_other = threads not in (None, now.get("torch_threads"))
        how = f" (OMP_NUM_THREADS={threads})" if is_other else ""
        advice = f"go on under those{how}, or with --set {DETERMINISTIC}=false"
        raise ManifestError(mismatch(newest.path, wanted, "; ".join(others), advice))
    return [f"the conditions have changed: {other}" for other in others]


def _changed(plan: Plan, existing: Plan) -> set[str]:
    """Return the names of the settings that differ, and the other parts of a plan that do."""
    mine, theirs = ({**plan.defaults, **recorded.settings} for recorded in (plan, existing))
    keys = (mine.keys() | theirs.keys()) - set(REMARKS)
    changed = {key for key in keys if mine.get(key) != theirs.get(key)}
    used = {name: digest for name, digest in existing.inputs.items() if name not in plan.unused}
    existing = existing.model_copy(update={"inputs": used})
    parts = ("stage", "format", "seed", "inputs")
    return changed | {part for part in parts if getattr(plan, part) != getattr(existing, part)}


def _may_change(key: str, value: object) -> bool:
    return key.startswith(MAY_CHANGE) or (key == DETERMINISTIC and value is False)


def _has_more_epochs(plan: Plan, finished: Manifest) -> bool:
    epochs = plan.settings["schedule.epochs"]
    return isinstance(epochs, int) and epochs > finished.counts["epochs"]


def _require_epochs(chosen: Recipe, position: Position) -> None:
    begun = position.epoch + (position.batch > 0)
    if chosen.schedule.epochs < begun:
        advice = "name at least as many, or another folder"
        wanted = f"at least {begun}, which have begun"
        raise ConfigError(mismatch("schedule.epochs", wanted, chosen.schedule.epochs, advice))
