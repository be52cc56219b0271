"""What `alexrep eval` does beside the library: which results are missing, and how they are told."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import typer

from alexrep import signals
from alexrep.compute.processes import Processes
from alexrep.errors import ConfigError, Interrupted, examples, mismatch
from alexrep.evaluation import confusion, labels, submission, text
from alexrep.evaluation.task import Task, find, num_images, require_scorable, score_views
from alexrep.runs import results
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Scored

from . import options
from .progress import meter

VIEWS = ("centre", "ten-crop")


def views_of(named: Sequence[str], ten_crop: bool) -> list[str]:
    """Return the kinds of views that options ask for: named several times, or with commas.

    Raises:
        ConfigError: If one is unknown.
    """
    words = [word.strip() for text in named for word in text.split(",")]
    for word in words:
        options.require("--views", word, VIEWS)
    asked = [*words, *(["ten-crop"] if ten_crop else [])]
    return list(dict.fromkeys(asked)) or ["centre"]


@dataclass(frozen=True)
class Request:
    """What the command was asked for."""

    runs: tuple[Path, ...]
    data: Path
    split: str
    views: tuple[str, ...]
    form: tuple[str, bool, str, bool]
    """Checkpoint, whether all probabilities are kept, what is averaged, whether classes are
    shared: as `Task` takes them."""
    labels: Path | None
    """File of labels in the place of the data's."""
    submission: Path | None
    """File to write the predictions to."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is scored."""
        for run in self.runs:
            RunFolder(run).read_recipe()
        if self.submission and len(self.views) > 1:
            wanted, found = "one kind of views to write", ", ".join(self.views)
            raise ConfigError(mismatch("--submission", wanted, found, "name one with --views"))

    def task(self, run: Path) -> Task:
        """Return what is to be scored of a run, by the first kind of views."""
        return Task(RunFolder(run), self.data, self.split, self.views[0], *self.form)

    @property
    def real(self) -> Path | None:
        """The labels, if an image may have several."""
        return self.labels if self.labels and labels.is_real(self.labels) else None

    @property
    def ids(self) -> Path | None:
        """The labels, if they are a ground truth of ids."""
        return None if self.real else self.labels


class Evaluation:
    """The results that a command asks for, each scored unless it is there already."""

    def __init__(
        self,
        device: torch.device,
        processes: Processes,
        threads: int,
        batch_size: int,
        signalled: Callable[[], str | None],
        is_quiet: bool,
    ) -> None:
        """Take what scoring may use, and how to tell that a signal has come."""
        self._device, self._processes = device, processes
        self._threads, self._batch_size = threads, batch_size
        self._signalled, self._is_quiet = signalled, is_quiet
        self.before = ""
        """Said once, before the first network is scored."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self._processes.leads

    def results(self, task: Task, kinds: Sequence[str]) -> list[Scored]:
        """Return a run's results by several kinds of views, and keep those that are new.

        Args:
            task: What is to be scored, by any views.
            kinds: The kinds of views.

        Returns:
            A result of each kind; nothing in processes but the first.
        """
        group = self._processes
        tasks = [replace(task, views=views) for views in kinds]
        there: dict[str, Scored] = {}
        if group.leads:
            with group.failure_shared():
                there = {each.views: found for each in tasks if (found := self._kept(each))}
                if group.size > 1 and len(there) < len(tasks):
                    require_scorable(tasks[0])
        missing = group.from_first([views for views in kinds if views not in there])
        if missing:
            self._say(self.before)
            self.before = ""
            for scored in self._scored([each for each in tasks if each.views in missing]):
                there[scored.result.views] = keep(scored)
        return [there[views] for views in kinds if views in there]

    def _kept(self, task: Task) -> Scored | None:
        """Return a result that was scored before, and say so; None if there is none that does."""
        if not find(task, options.note):
            return None
        self._say(f"{task.path}: scored before, nothing to do")
        return results.read_scored(task.path)

    def _say(self, text: str) -> None:
        """Say how the work goes, unless it is to be quiet."""
        if text and self.leads and not self._is_quiet:
            options.note(text)

    def _scored(self, tasks: Sequence[Task]) -> list[Scored]:
        group, resources = self._processes, (self._device, self._threads, self._batch_size)
        with self._progress(num_images(tasks[0])) as done:
            return score_views(tasks, *resources, done, group)

    @contextlib.contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """Yield what counts this process's images, and ends all of them after a signal to one."""
        group = self._processes

        def signal() -> str | None:
            name = self._signalled()
            came = group.any_of(name is not None)[0]
            return name or ("a signal to another process" if came else None)

        unit = "images" if group.size == 1 else f"images of one of {group.size} processes"
        try:
            with meter(total // group.size, unit, self._is_quiet or not group.leads) as done:
                yield signals.watch(done, signal)
        except Interrupted as interrupted:
            raise group.common(interrupted) from None


def keep(scored: Scored) -> Scored:
    """Write a result into its run, if its folder may be written to, and return what is kept."""
    result = scored.result
    with options.kept_if_allowed(scored.path):
        result = results.keep(scored)
        if RunFolder(scored.path.parent.parent).is_exported:
            options.note(f"{scored.path}: kept, beside what was exported, which stays as it was")
    return replace(scored, result=result)


def say(all_scored: Sequence[Scored], request: Request, as_json: bool, per_class: bool) -> None:
    """Print results, and write the submission of the last one if that is asked for.

    Args:
        all_scored: The results.
        request: What was asked for.
        as_json: Print JSON.
        per_class: Print the errors of each class, too, and the most confused pairs.
    """
    table = RunFolder(request.runs[0]).read_classes()
    if request.submission:
        lines = submission.write(request.submission, all_scored[-1], table)
        options.note(f"{request.submission}: {all_scored[-1].result.num_images:,} images")
        if lines:
            which = examples(lines)
            options.note(f"{request.submission}: in quarantine, guessed at random: lines {which}")
    if as_json:
        typer.echo(text.documents([scored.result for scored in all_scored]))
        return
    for scored in all_scored:
        if len(request.runs) > 1:
            runs = scored.result.members or (str(scored.path.parent.parent),)
            typer.echo(f"{' + '.join(runs)}:")
        typer.echo(text.line(scored.result))
        for line in text.details(scored.result):
            typer.echo(f"  {line}")
        if per_class and scored.result.top1_error is not None:
            errors = confusion.of_classes(scored.predictions, len(table))
            pairs = confusion.most_confused(confusion.matrix(scored.predictions, len(table)))
            typer.echo("\n".join(["", *text.class_table(errors, pairs, table), ""]))
