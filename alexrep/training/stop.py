"""Why a run ends before its last epoch: a signal, or a metric that says that it may."""

from alexrep.errors import Interrupted, mismatch
from alexrep.runs.log import Row
from alexrep.training.job import Job, Position


def interrupted(job: Job, signal: str | None) -> BaseException:
    """Return what ends a run after a signal, once all know that the checkpoint is on disk.

    Args:
        job: The run.
        signal: Name of the signal that has come to this process; none if to another.
    """
    job.saved()
    # Whoever started the processes may kill the rest as soon as the first one has left.
    job.processes.any_of(False)
    found = f"{signal or 'a signal to another process'}, saved"
    where, advice = f"step {job.position.step}", "start again to go on"
    return job.processes.common(Interrupted(mismatch(where, "to go on", found, advice)))


def leave_if_signalled(job: Job, is_saved: bool = False) -> None:
    """Save and leave, in all processes, if a signal has come to one.

    Raises:
        Interrupted: If so.
    """
    signal = job.signalled()
    if job.processes.any_of(signal is not None)[0]:
        if not is_saved:
            job.save(False)
        raise interrupted(job, signal)


def judge(job: Job, row: Row) -> None:
    """Look at an epoch's row, and note in the position whether the run should end, and why.

    The run never ends before its first epoch.
    """
    rule, position = job.recipe.schedule.stop, job.position
    value = None if rule is None else row[rule.metric]
    if rule is None or not isinstance(value, float | int):
        return
    _count(position, value)
    if position.epoch == 0:
        return
    if rule.target is not None and value <= rule.target:
        position.stopped = f"{rule.metric} {value:.6g} has reached {rule.target:g}"
    elif rule.patience is not None and position.waited >= rule.patience:
        lowest = f"its lowest, {position.lowest:.6g}"
        position.stopped = f"{rule.metric} {value:.6g}: {position.waited} epochs since {lowest}"


def _count(position: Position, value: float) -> None:
    position.waited = 0 if value < position.lowest else position.waited + 1
    position.lowest = min(position.lowest, value)
