"""What `alexrep eval` does beside the library: which results are missing, and how they are told."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
import typer

from alexrep import signals
from alexrep.compute.processes import Processes
from alexrep.errors import Interrupted, examples
from alexrep.evaluation import confusion, submission, text
from alexrep.evaluation.scoring import require_scorable, score_views
from alexrep.evaluation.task import Task, find, num_images
from alexrep.ilsvrc.originals import Listed
from alexrep.runs import results
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Scored

from . import options
from .eval_request import Request
from .progress import meter

SHOWN = 10
"""Images in quarantine that are named."""


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
        self._said: set[str] = set()

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
                if task.raw:
                    self._note_once(task.raw.listed(task.split).source.remarks)
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
            scored = score_views(tasks, *resources, done, group)
        if tasks[0].raw:
            self._note_once(quarantined(tasks[0].raw.listed(tasks[0].split)))
        return scored

    def _note_once(self, texts: Iterable[str]) -> None:
        for line in texts:
            if line not in self._said:
                options.note(line)
            self._said.add(line)

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


def quarantined(listed: Listed) -> list[str]:
    """Say which original images could not be decoded, and why."""
    names = sorted(listed.unreadable)
    lines = [f"quarantined: {listed.split}/{name}: {listed.unreadable[name]}" for name in names]
    rest = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"and {rest:,} more of {listed.split}"] if rest > 0 else [])]


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
