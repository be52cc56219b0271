"""Which process owns something: this one, another, a dead one, one that is not visible."""

import dataclasses
import os
import subprocess
import sys

import pytest

from alexrep import owner
from alexrep.owner import is_running, this_process

NO_PROCESS = 2**22 + 1
"""A pid above every pid of Linux."""


def test_a_process_runs_beside_itself() -> None:
    assert this_process().runs_beside(this_process())
    assert is_running(os.getpid())


def test_a_number_that_no_process_has_is_gone() -> None:
    me = this_process()
    assert dataclasses.replace(me, pid=NO_PROCESS).runs_beside(me) is False
    assert not is_running(NO_PROCESS)
    assert not is_running(10**30)


def test_another_process_of_the_same_number_is_another() -> None:
    me = this_process()
    assert dataclasses.replace(me, began=f"{me.began}0").runs_beside(me) is False


def test_a_killed_process_that_nobody_has_waited_for_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        killed = dataclasses.replace(
            this_process(), pid=process.pid, began=owner._began(process.pid)
        )
        assert killed.runs_beside(this_process())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert killed.runs_beside(this_process()) is False


@pytest.mark.parametrize("field", ["host", "began"])
def test_a_number_says_nothing_on_another_machine_or_in_another_container(field: str) -> None:
    me = this_process()
    other = dataclasses.replace(me, pid=NO_PROCESS, **{field: f"other {me.began}"})  # type: ignore[arg-type]
    assert other.runs_beside(me) is None


def test_a_process_that_proc_hides_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with hidepid, which hides the processes of other users."""
    me = this_process()
    monkeypatch.setattr(owner, "_began", lambda pid: "")
    assert me.runs_beside(me) is None
    assert dataclasses.replace(me, pid=NO_PROCESS).runs_beside(me) is False


def test_without_proc_nothing_is_told_of_others() -> None:
    me = dataclasses.replace(this_process(), began="")
    assert me.runs_beside(me) is None


def test_slurms_variables_are_read() -> None:
    assert (this_process({}).job, this_process({}).restart) == (None, 0)
    given = this_process({"SLURM_JOB_ID": "31", "SLURM_RESTART_COUNT": "2"})
    assert (given.job, given.restart) == ("31", 2)
