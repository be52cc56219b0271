"""The lock of a run folder: one holder at a time, whatever dies, hangs or comes back."""

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Semaphore
from pathlib import Path

import pytest

from alexrep import locks
from alexrep.errors import AlexrepError, ManifestError
from alexrep.locks import Owner

ELSEWHERE = Owner(host="node7", pid=4, began="boot namespace 12")
JOB = Owner(host="node7", pid=4, began="boot namespace 12", job="31", restart=1)

HOLDER = """
import sys, time
from pathlib import Path
from alexrep import locks
with locks.held(Path(sys.argv[1])) as owned:
    print("held", flush=True)
    while True:
        time.sleep(0.02)
        owned()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock, and asks again and again whether it still does."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave(folder: Path, owner: Owner, age_s: float = 0) -> Path:
    """Leave the lock of a process that was killed."""
    with locks.held(folder, owner):
        content = (folder / ".lock-run-1").read_text()
    path = folder / ".lock-run-1"
    path.write_text(content)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def refusal(folder: Path, me: Owner | None = None) -> str:
    with pytest.raises(ManifestError) as caught, locks.held(folder, me):
        pass
    return str(caught.value)


def test_a_lock_is_a_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    with locks.held(tmp_path / "run") as owned:
        owned()
        assert files_of(tmp_path / "run") == [".lock-run-1"]
        assert oct((tmp_path / "run" / ".lock-run-1").stat().st_mode)[-3:] == "644"
    assert files_of(tmp_path / "run") == []


def test_it_is_gone_after_an_error_and_no_thread_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locks.held(tmp_path):
        raise KeyError
    assert files_of(tmp_path) == []
    assert not [one for one in threading.enumerate() if one.name == "lock"]


def test_a_second_one_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    with locks.held(tmp_path) as owned:
        line = refusal(tmp_path)
        owned()
    assert line.startswith(f"{tmp_path}: expected one writer, found another process at work (pro")
    assert f"process {os.getpid()} on " in line
    assert line.endswith("wait until it ends, or for 120 s if it was killed")


def test_another_process_is_refused(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert f"process {holder.pid} on " in refusal(tmp_path)


def test_partial_files_of_the_dead_are_removed_and_of_the_living_are_not(tmp_path: Path) -> None:
    part = tmp_path / "checkpoints" / "last.pt.node-1.partial"
    part.parent.mkdir()
    with locks.held(tmp_path):
        part.touch()
        refusal(tmp_path)
        assert part.exists()
    with locks.held(tmp_path):
        assert not part.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_of_this_machine_loses_it_at_once(
    tmp_path: Path, holder: subprocess.Popen[str], number: signal.Signals
) -> None:
    holder.send_signal(number)
    time.sleep(0.2)  # and nobody has asked yet how it ended
    with locks.held(tmp_path):
        assert files_of(tmp_path) == [".lock-run-2"]
    assert files_of(tmp_path) == []


def test_another_process_of_the_same_number_is_another(tmp_path: Path) -> None:
    me = locks.this_process()
    leave(tmp_path, dataclasses.replace(me, began=me.began + "0"))
    with locks.held(tmp_path) as owned:
        owned()


@pytest.mark.parametrize("field", ["host", "began"])
def test_a_number_says_nothing_on_another_machine_or_in_another_container(
    tmp_path: Path, field: str
) -> None:
    me = locks.this_process()
    other = {"host": me.host, "began": me.began, field: f"other {me.began}"}
    leave(tmp_path, Owner(host=other["host"], pid=2**22 + 1, began=other["began"]))
    assert "another process at work" in refusal(tmp_path)


@pytest.mark.parametrize(("age_s", "is_gone"), [(0, False), (110, False), (130, True)])
def test_without_a_sign_of_life_for_two_minutes_it_is_lost(
    tmp_path: Path, age_s: float, is_gone: bool
) -> None:
    leave(tmp_path, ELSEWHERE, age_s)
    if is_gone:
        with locks.held(tmp_path) as owned:
            owned()
    else:
        assert f"process 4 on node7, last heard of {age_s} s ago" in refusal(tmp_path)


def test_signs_of_life_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.02)
    with locks.held(tmp_path, ELSEWHERE):
        os.utime(tmp_path / ".lock-run-1", (0, 0))
        time.sleep(0.3)
        assert "last heard of 0 s ago" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "takes_over"),
    [
        ({"restart": 2}, True),
        ({"restart": 1}, False),
        ({"restart": 0}, False),
        ({"job": "32", "restart": 2}, False),
        ({"job": None, "restart": 2}, False),
    ],
)
def test_a_restart_of_the_same_job_takes_over_at_once(
    tmp_path: Path, changes: dict[str, object], takes_over: bool
) -> None:
    leave(tmp_path, JOB)
    me = dataclasses.replace(JOB, host="node8", token="mine", **changes)  # type: ignore[arg-type]
    if takes_over:
        with locks.held(tmp_path, me) as owned:
            owned()
    else:
        assert "process 4 on node7 of job 31, restart 1, last heard" in refusal(tmp_path, me)


def test_slurms_variables_are_read() -> None:
    assert (locks.this_process({}).job, locks.this_process({}).restart) == (None, 0)
    given = locks.this_process({"SLURM_JOB_ID": "31", "SLURM_RESTART_COUNT": "2"})
    assert (given.job, given.restart) == ("31", 2)


def test_who_was_taken_over_is_told_by_whom_and_leaves_the_lock_alone(tmp_path: Path) -> None:
    after = dataclasses.replace(JOB, host="node8", restart=2, token="mine")
    with locks.held(tmp_path, JOB) as old:
        with locks.held(tmp_path, after) as new:
            wanted = "expected only process 4 on node7 of job 31, restart 1, found process 4 on "
            with pytest.raises(AlexrepError, match=wanted + "node8 of job 31, restart 2, which"):
                old()
            new()
        with pytest.raises(AlexrepError, match="found the lock removed; start again to go on"):
            old()
    assert files_of(tmp_path) == []


def test_a_process_that_slept_too_long_finds_itself_taken_over(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    then = time.time() - 200
    os.utime(tmp_path / ".lock-run-1", (then, then))
    with locks.held(tmp_path) as owned:
        os.kill(holder.pid, signal.SIGCONT)
        _, said = holder.communicate(timeout=10)
        owned()
    assert f"found process {os.getpid()} on " in said
    assert "which took over; leave the folder to it" in said


def test_a_lock_without_words_is_of_one_that_has_just_begun(tmp_path: Path) -> None:
    path = tmp_path / ".lock-run-3"
    path.touch()
    assert "at work (one that has just begun, last heard of 0 s ago)" in refusal(tmp_path)
    os.utime(path, (0, 0))
    with locks.held(tmp_path):
        assert files_of(tmp_path) == [".lock-run-4"]


def test_locks_of_two_generations_are_one(tmp_path: Path) -> None:
    """Who took over and died before it removed the old lock leaves two."""
    old = leave(tmp_path, ELSEWHERE, 500)
    (tmp_path / ".lock-run-2").write_text(old.read_text())
    assert "another process at work" in refusal(tmp_path)
    os.utime(tmp_path / ".lock-run-2", (0, 0))
    with locks.held(tmp_path):
        assert files_of(tmp_path) == [".lock-run-3"]


def test_a_lock_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full") as caught, locks.held(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)
    assert files_of(tmp_path) == []


def contend(folder: Path, start: float, won: "multiprocessing.Queue[int]", lost: Semaphore) -> None:
    """Try to hold the lock, and if that goes well, until all others have been refused."""
    time.sleep(max(0, start - time.time()))
    try:
        with locks.held(folder) as owned:
            won.put(os.getpid())
            for _ in range(7):
                assert lost.acquire(timeout=20)
            owned()
            won.put(os.getpid())
    except ManifestError:
        won.put(0)
        lost.release()


@pytest.mark.slow
@pytest.mark.parametrize("is_stale", [False, True])
def test_of_many_that_want_it_at_once_one_wins(tmp_path: Path, is_stale: bool) -> None:
    context, num = multiprocessing.get_context("fork"), 8
    for round_ in range(3):
        folder = tmp_path / str(round_)
        folder.mkdir()
        if is_stale:
            leave(folder, ELSEWHERE, 500)
        won, lost = context.Queue(), context.Semaphore(0)
        start = time.time() + 0.1
        crowd = [
            context.Process(target=contend, args=(folder, start, won, lost)) for _ in range(num)
        ]
        for one in crowd:
            one.start()
        told = sorted(won.get(timeout=30) for _ in range(num + 1))
        for one in crowd:
            one.join()
        winners = [pid for pid in told if pid]
        assert len(winners) == 2
        assert len(set(winners)) == 1
        assert files_of(folder) == []
