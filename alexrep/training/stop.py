"""What ends a run before its last epoch: a signal, or a metric that the recipe watches."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from alexrep.config.schedules import Stop
from alexrep.errors import Interrupted
from alexrep.runs.log import Row
from alexrep.signals import spoken
from alexrep.training import saving
from alexrep.training.job import Job, Position


class Signalled(Exception):
    """A signal has come to one of the processes; nothing has been saved yet."""

    def __init__(self, name: str | None) -> None:
        """Take the name of the signal; None in a process that it has not come to."""
        super().__init__(name)
        self.name = name


def raise_if_signalled(job: Job) -> None:
    """Raise Signalled, in all processes, if a signal has come to one."""
    name = job.session.signal()
    if job.processes.any_of(name is not None)[0]:
        raise Signalled(name)


@contextlib.contextmanager
def saving_when_signalled(job: Job, is_saved: bool = False) -> Iterator[None]:
    """Save and leave when a signal comes in the block, once the block has cleaned up.

    A session without a folder, as a dry run has, saves nothing.

    Args:
        job: The run.
        is_saved: Whether the last checkpoint is of this very moment.

    Raises:
        Interrupted: If a signal has come.
    """
    try:
        yield
    except Signalled as signalled:
        if not is_saved:
            saving.save(job)
        raise interrupted(job, signalled.name) from None


def interrupted(job: Job, signal: str | None) -> BaseException:
    """Return what ends a run after a signal, once all know that the checkpoint is on disk.

    Args:
        job: The run.
        signal: Name of the signal that has come to this process; None if to another.
    """
    job.session.wait()
    # Whoever started the processes may kill the rest as soon as the first one has left.
    job.processes.any_of(False)
    saved = "saved; " if job.session.writes or not job.processes.leads else ""
    cause = spoken(signal) if signal else "a signal to another process"
    text = f"step {job.position.step}: {saved}stopped by {cause}; start again to go on"
    return job.processes.common(Interrupted(text))


def judge(rule: Stop | None, position: Position, row: Row) -> None:
    """Note in the position whether the run should end after an epoch, and why.

    The run never ends before its first epoch.

    Args:
        rule: The recipe's rule.
        position: Where the run is; its lowest value, its waiting and its reason are set.
        row: The epoch's row of the log.
    """
    value = None if rule is None else row.get(rule.metric)
    if rule is None or not isinstance(value, float | int):
        return
    position.waited = 0 if value < position.lowest else position.waited + 1
    position.lowest = min(position.lowest, value)
    if row["epoch"] == 0:
        return
    if rule.target is not None and value <= rule.target:
        position.stopped = f"{rule.metric} {value:.6g} has reached {rule.target:g}"
    elif rule.patience is not None and position.waited >= rule.patience:
        lowest = f"its lowest, {position.lowest:.6g}"
        position.stopped = f"{rule.metric} {value:.6g}: {position.waited} epochs since {lowest}"


def judge_again(rule: Stop | None, position: Position, rows: Iterable[Row]) -> Position:
    """Return the position as another rule would have left it.

    Args:
        rule: The rule of now.
        position: The position of a checkpoint that was made under another rule.
        rows: Rows of the log up to that checkpoint.
    """
    judged = replace(position, lowest=math.inf, waited=0, stopped="")
    for row in rows:
        if row["kind"] == "epoch":
            # What the rule would have said earlier is past: only the last epoch counts.
            judged.stopped = ""
            judge(rule, judged, row)
    return judged
