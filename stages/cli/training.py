"""What `alexrep train` does beside the library: which recipe and folder its options mean."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import typer

from alexrep.compute.devices import meeting
from alexrep.compute.processes import START_S
from alexrep.compute.rank import ProcessRank
from alexrep.config import fitted, overrides, recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError, mismatch
from alexrep.feed import dataset, local_copy
from alexrep.feed.local_copy import Order
from alexrep.pool import default_threads
from alexrep.runs import copying, fresh, listing
from alexrep.runs.folder import RunFolder
from alexrep.runs.session import Signal
from alexrep.training import pieces, profiling, resume
from alexrep.training import run as training
from alexrep.training.rehearsal import rehearse
from alexrep.training.request import Request, Resources, require_runnable
from alexrep.training.start import open_inputs

from . import ensembles, eval_request, evaluating, options, printing, system_errors, training_screen
from .progress import is_quiet

ROOT = Path("runs")
"""Where the runs are that were given no folder."""
COPYING_S = 3600.0
"""How long the first machine waits for the others, which copy the data to their own disks."""
BATCH_SIZE = 64
"""Images in a batch that is only scored."""
LESS_MEMORY = "raise compute.accumulate or lower --batch-size; --workers if the machine is short"
"""What to do where a training has too little memory."""


@dataclass(frozen=True)
class Asked:
    """What the options say."""

    data: Path
    run: Path | None
    recipe: str | None
    arch: str | None
    mode: str
    """One of resume.MODES, or the path of a checkpoint."""
    newest_below: Path | None
    short: Mapping[str, object]
    """Options that stand for fields, as `overrides.joined` takes them."""
    rate: float | None
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """What is meant."""

    recipe: Recipe
    run: Path | None
    """The run's folder; None for a new one, which is still to be made."""
    mode: str
    made: tuple[str, ...] = ()
    """Settings by which the recipe was made for the data."""

    def folder(self, writes: bool) -> Path:
        """Return the run's folder, made if it is a new one and `writes`."""
        if self.run is not None:
            return self.run
        _require_alone()
        path = ROOT / self.recipe.name
        if writes:
            path = fresh.make(ROOT, self.recipe.name, datetime.now())
            options.note(f"{path}: a new run")
        return path


def choose(asked: Asked) -> Choice:
    """Return recipe, folder and mode of what is asked for.

    Raises:
        ConfigError: If options contradict one another, or the recipe is wrong.
        DataError: If a run or a checkpoint to go on from is not there.
    """
    run, mode = _run_of(asked)
    name, made = _recipe_of(asked, run if mode == "must" else None)
    given = overrides.joined(asked.short, asked.settings)
    if asked.rate is not None:
        overrides.require_free(asked.settings, {"schedule.weights.start": f"--lr {asked.rate:g}"})
    chosen = recipes.load(name, (*made, *given))
    if asked.rate is not None:
        chosen = _at_rate(chosen, asked.rate)
    return Choice(chosen, run, mode, made)


def order(data: Path, folder: Path | None, keeps: bool, is_training: bool) -> Order | None:
    """Return what is to be copied to this machine's own disk, if anything is.

    Raises:
        ConfigError: If options contradict one another, or a variable in the folder is not set.
    """
    option = "--keep-copy" if folder is None else "--copy-to"
    if keeps and folder is None:
        raise ConfigError(mismatch(option, "--copy-to beside it", "none", "name a folder"))
    if folder is None:
        return None
    if not is_training:
        found = "--evaluate, --dry-run or --profile"
        raise ConfigError(mismatch(option, "a training", found, "leave one out"))
    return Order(data, local_copy.expand(folder), keeps)


def train(
    ctx: typer.Context,
    choice: Choice,
    source: Path | Order,
    dry_run: bool,
    device: str,
    workers: int | None,
    signal: Signal,
    trace: Path | None = None,
) -> None:
    """Train what was chosen, or rehearse it, or trace it; say what came of it."""
    if trace is not None:
        profiling.require_place(trace)
    dry_run = dry_run or trace is not None
    with contextlib.ExitStack() as uses:
        if isinstance(source, Path):
            data, wait_s = source, START_S
        else:
            open_inputs(source.data, choice.recipe).close()  # before hours of copying
            options.require_run_folder(choice.folder(writes=False), source.data)
            copy = local_copy.made(source, options.note, signal)
            data, wait_s = uses.enter_context(copy), COPYING_S
        _train(ctx, choice, data, dry_run, device, workers, signal, wait_s, trace)


def _train(
    ctx: typer.Context,
    choice: Choice,
    data: Path,
    dry_run: bool,
    device: str,
    workers: int | None,
    signal: Signal,
    wait_s: float,
    trace: Path | None,
) -> None:
    chosen = choice.recipe
    run = choice.folder(writes=False)
    options.require_run_folder(run, data)
    require_runnable(chosen, inputs := open_inputs(data, chosen))
    if choice.made:
        options.note(f"recipe {chosen.name}, made for these images: {', '.join(choice.made)}")
    with inputs, meeting(device, chosen.compute.towers, wait_s) as (own, group):
        run = choice.folder(writes=not dry_run)
        resources = Resources(own, workers or default_threads(), group, options.note)
        request = Request(chosen, inputs, run, resources, choice.mode)
        with system_errors.memory_for(_memory_use(request), LESS_MEMORY):
            _take_part(ctx, request, signal, dry_run, trace)


def _take_part(
    ctx: typer.Context, request: Request, signal: Signal, dry_run: bool, trace: Path | None
) -> None:
    """Train or rehearse in one of the processes; the first one says what came of it."""
    recipe, run, group = request.recipe, request.run, request.resources.processes
    if trace is not None and group.size > 1:
        wanted, found = "one process", f"{group.size} of them"
        raise ConfigError(mismatch("--profile", wanted, found, "leave torchrun or srun out"))
    if not group.leads:
        training.follow(request, signal, dry_run)
    elif options.is_finished(record := training.finished(request), run):
        options.say_errors(None if dry_run else record, run)
    elif dry_run:
        printing.say_rehearsal(rehearse(request, signal, trace), recipe, run, group.size)
    else:
        if group.size > 1:
            batch, accumulate = recipe.feed.batch_size, recipe.compute.accumulate
            options.note(f"batches of {pieces.describe(batch, group.size, accumulate)}")
        with training_screen.shown(request, is_quiet(ctx)) as screen:
            record = training.lead(request, signal, screen.progress, screen.before, screen)
        options.say_errors(record, run)


def _memory_use(request: Request) -> str:
    """Say what decides how much memory a training takes."""
    recipe, resources = request.recipe, request.resources
    batch, accumulate = recipe.feed.batch_size, recipe.compute.accumulate
    divided = pieces.describe(batch, resources.processes.size, accumulate)
    fields = f"(feed.batch_size {batch}, compute.accumulate {accumulate})"
    return f"batches of {divided} {fields} with {resources.threads} workers on {resources.device}"


def score(
    ctx: typer.Context,
    choice: Choice,
    data: Path,
    device: str,
    workers: int | None,
    signal: Signal,
) -> None:
    """Score val by the centre patch of the run that was chosen, as `alexrep eval` does.

    Raises:
        ConfigError: If none was named.
    """
    if choice.run is None:
        wanted, advice = "the run to score", "name it with --run, --resume or --resume-last"
        raise ConfigError(mismatch("--evaluate", wanted, "none", advice))
    form = ("last", False, "probabilities", False)
    request = eval_request.Request((choice.run,), data, "val", ("centre",), form, None, None)
    rest = (device, workers, BATCH_SIZE, signal, is_quiet(ctx))
    if scored := ensembles.score(request, [1.0], *rest):
        evaluating.say(scored, request, as_json=False, per_class=False)


def _run_of(asked: Asked) -> tuple[Path | None, str]:
    """Return the run's folder, if it is known, and one of resume.MODES."""
    is_path = Path(asked.mode).suffix == ".pt"
    if not is_path:
        options.require("--resume", asked.mode, (*resume.MODES, "a checkpoint's path"))
    if asked.newest_below is not None:
        other = "" if asked.run is None else f"--run {asked.run}"
        if is_path or asked.mode == "never":
            other = f"--resume {asked.mode}"
        if other:
            wanted = "no other option that says where to go on"
            raise ConfigError(mismatch("--resume-last", wanted, other, "leave one out"))
        run = listing.newest(asked.newest_below).path
        options.note(f"goes on with {run}")
        return run, "must"
    if asked.run is None and asked.mode == "must":
        wanted, advice = "the run to go on with", "name it with --run, or take --resume-last"
        raise ConfigError(mismatch("--resume must", wanted, "none", advice))
    return _from_checkpoint(asked) if is_path else (asked.run, asked.mode)


def _from_checkpoint(asked: Asked) -> tuple[Path, str]:
    """Return the run that goes on from a checkpoint's file: its own, or a copy in a new folder."""
    path = Path(asked.mode)
    folder = RunFolder(path.absolute().parent.parent)
    if not path.is_file():
        advice = f"name one of these, or {', '.join(resume.MODES)}"
        raise ConfigError(mismatch("--resume", "a checkpoint of a run", f"no file {path}", advice))
    folder.read_recipe()
    if asked.run is None or asked.run.absolute() == folder.path:
        if path.name != "last.pt":
            wanted, advice = "a new folder to go on in", "name one with --run"
            raise ConfigError(mismatch(f"--resume {path}", wanted, "none", advice))
        return path.parent.parent, "must"
    new = RunFolder(asked.run)
    if not new.holds_run:
        names = copying.copy(folder, new, path)
        options.note(f"{new.path}: {len(names)} files of {folder.path}, to go on from {path.name}")
    return asked.run, "must"


def _recipe_of(asked: Asked, run: Path | None) -> tuple[str, tuple[str, ...]]:
    """Return the recipe's name, and the settings that fit it to the data."""
    if asked.recipe is not None and asked.arch is not None:
        found = f"--arch {asked.arch}, too"
        raise ConfigError(mismatch("--recipe", "one of the two", found, "leave one out"))
    if asked.recipe is not None:
        return asked.recipe, ()
    begun = asked.run if run is None else run
    if asked.arch is None and begun is not None and RunFolder(begun).recipe.is_file():
        return str(RunFolder(begun).recipe), ()
    return fitted.settings(asked.arch or "alexnet", dataset.side_of(asked.data))


def _at_rate(chosen: Recipe, rate: float) -> Recipe:
    try:
        return chosen.model_copy(update={"schedule": chosen.schedule.from_rate(rate)})
    except ValueError:
        wanted, advice = "a rate above 0 that leaves all rates up to 10", "choose another"
        raise ConfigError(mismatch("--lr", wanted, f"{rate:g}", advice)) from None


def _require_alone() -> None:
    """Refuse a new folder of each start where several starts are one run."""
    if ProcessRank.of(os.environ).world_size > 1 or "SLURM_JOB_ID" in os.environ:
        wanted, advice = "the folder of the run", "name one: processes and later starts share it"
        raise ConfigError(mismatch("--run", wanted, "none", advice))
