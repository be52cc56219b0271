"""Folder locks: one writer, or several parts, whichever process dies, hangs or comes back."""

import contextlib
import dataclasses
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Semaphore
from pathlib import Path

import pytest
from waiting import PATIENCE_S, wait_until

from alexrep import files, locks
from alexrep.errors import AlexrepError, ManifestError
from alexrep.owner import Owner, this_process

ELSEWHERE = Owner(host="node7", pid=4, began="boot namespace 12")
JOB = Owner(host="node7", pid=4, began="boot namespace 12", job="31", restart=1)

HOLDER = """
import sys, time
from pathlib import Path
from alexrep import locks
with locks.held(Path(sys.argv[1])) as check:
    print("held", flush=True)
    while True:
        time.sleep(0.02)
        check()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock, and keeps checking that it still does."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave(folder: Path, owner: Owner, age_s: float = 0, part: str = "") -> Path:
    """Leave the lock of a killed process; a negative age dates it in the future."""
    path = folder / (f".lock-part-{part}-1" if part else ".lock-run-1")
    with locks.held(folder, part, me=owner):
        content = path.read_text()
    path.write_text(content)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def refusal(folder: Path, me: Owner | None = None, part: str = "") -> str:
    with pytest.raises(ManifestError) as caught, locks.held(folder, part, me=me):
        pass
    return str(caught.value)


def test_a_lock_is_a_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    with locks.held(tmp_path / "run") as check:
        check()
        assert files_of(tmp_path / "run") == [".lock-run-1"]
        assert oct((tmp_path / "run" / ".lock-run-1").stat().st_mode)[-3:] == "644"
    assert files_of(tmp_path / "run") == []


def test_it_is_gone_after_an_error_and_no_thread_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locks.held(tmp_path):
        raise KeyError
    assert files_of(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "lock"]


def test_a_second_one_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    with locks.held(tmp_path) as check:
        line = refusal(tmp_path)
        check()
    assert line.startswith(f"{tmp_path}: expected one writer, found another process at work (pro")
    assert f"process {os.getpid()} on " in line
    assert line.endswith("); wait until it ends")


def test_another_process_is_refused(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert f"process {holder.pid} on " in refusal(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_of_this_machine_loses_it_at_once(
    tmp_path: Path, holder: subprocess.Popen[str], number: signal.Signals
) -> None:
    holder.send_signal(number)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # now a zombie, not waited for
    assert not locks.is_held(tmp_path)
    with locks.held(tmp_path):
        assert files_of(tmp_path) == [".lock-run-2"]
    assert files_of(tmp_path) == []


def test_another_process_of_the_same_number_is_another(tmp_path: Path) -> None:
    me = this_process()
    leave(tmp_path, dataclasses.replace(me, began=me.began + "0"))
    with locks.held(tmp_path) as check:
        check()


def last_heard(line: str) -> int:
    """Return the seconds since the owner was last heard of, from the text of a refusal."""
    match = re.search(r"last heard of (\d+) s ago\)", line)
    assert match is not None, line
    return int(match[1])


@pytest.mark.parametrize(("age_s", "is_gone"), [(0, False), (60, False), (130, True)])
def test_without_a_sign_of_life_for_two_minutes_it_is_lost(
    tmp_path: Path, age_s: float, is_gone: bool
) -> None:
    leave(tmp_path, ELSEWHERE, age_s)
    if is_gone:
        with locks.held(tmp_path) as check:
            check()
    else:
        line = refusal(tmp_path)
        assert "another process at work (process 4 on node7, last" in line
        assert age_s <= last_heard(line) < 120


def test_a_lock_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 0.02)
    with locks.held(tmp_path, me=ELSEWHERE):
        lock = tmp_path / ".lock-run-1"
        os.utime(lock, (0, 0))
        wait_until(lambda: lock.stat().st_mtime > 0, "a renewal")
        assert "process 4 on node7, last heard of " in refusal(tmp_path)


@pytest.mark.parametrize("age_s", [500, -500, 10**9])
def test_a_process_that_runs_here_keeps_its_lock_whatever_the_clock_says(
    tmp_path: Path, holder: subprocess.Popen[str], age_s: float
) -> None:
    then = time.time() - age_s
    os.utime(tmp_path / ".lock-run-1", (then, then))
    assert locks.is_held(tmp_path)
    for part in ("", "0-of-2"):
        line = refusal(tmp_path, part=part)
        assert line.endswith(f"(process {holder.pid} on {os.uname().nodename}); wait until it ends")
    assert files_of(tmp_path) == [".lock-run-1"]


def test_a_stopped_process_keeps_its_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGSTOP)
    os.utime(tmp_path / ".lock-run-1", (0, 0))
    assert f"process {holder.pid} on " in refusal(tmp_path)


@pytest.mark.parametrize("part", ["", "0-of-2"])
def test_a_lock_of_the_future_loses_its_owner_as_any_other(tmp_path: Path, part: str) -> None:
    lock = leave(tmp_path, ELSEWHERE, age_s=-3600, part=part)
    line = refusal(tmp_path)
    assert re.search(r"\(process 4 on node7, dated 3[56]\d\d s in the future\); wait ", line)
    assert line.endswith("or for 120 s if it was killed")
    assert last_heard(refusal(tmp_path)) < 120
    then = lock.stat().st_mtime - 130  # as if that much time had passed
    assert then < time.time() - 100
    os.utime(lock, (then, then))
    with locks.held(tmp_path) as check:
        check()


def test_an_owner_with_a_clock_that_is_ahead_keeps_its_lock(tmp_path: Path) -> None:
    lock = leave(tmp_path, ELSEWHERE, age_s=-3600)
    for _ in range(2):
        assert "s in the future" in refusal(tmp_path)
        then = time.time() + 3600  # as it renews it
        os.utime(lock, (then, then))


def test_a_lock_of_the_future_that_may_not_be_touched_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    lock = leave(tmp_path, ELSEWHERE, age_s=-3600)
    monkeypatch.setattr(os, "utime", refused)
    assert f"s in the future: remove {lock} if it was killed); wait" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "may_both"),
    [
        ("0-of-2", "1-of-2", True),
        ("0-of-2", "0-of-3", True),
        ("0-of-2", "0-of-2", False),
        ("0-of-2", "", False),
        ("", "0-of-2", False),
        ("", "", False),
    ],
)
def test_parts_of_other_names_hold_a_folder_together(
    tmp_path: Path, first: str, second: str, may_both: bool
) -> None:
    with locks.held(tmp_path, first) as check:
        if may_both:
            with locks.held(tmp_path, second) as check_too:
                check_too()
        else:
            assert f"at work (process {os.getpid()} on" in refusal(tmp_path, part=second)
        check()
    assert files_of(tmp_path) == []


@pytest.mark.parametrize(("first", "second"), [("0-of-2", ""), ("", "0-of-2"), ("0-of-2",) * 2])
def test_a_part_and_the_whole_take_over_from_each_other(
    tmp_path: Path, first: str, second: str
) -> None:
    with locks.held(tmp_path, first, me=ELSEWHERE) as old:
        lock = next(tmp_path.glob(".lock-*"))
        os.utime(lock, (0, 0))
        with locks.held(tmp_path, second) as new:
            with pytest.raises(AlexrepError, match="which took over; leave the folder to it"):
                old()
            new()
    assert files_of(tmp_path) == []


def test_turns_wait_for_each_other_and_for_nothing_else(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locks.in_turn(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locks.held(tmp_path, "0-of-2"), locks.in_turn(tmp_path):
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert files_of(tmp_path) == []


def swept_by(taker: Owner, folder: Path, stack: contextlib.ExitStack) -> None:
    """Take over, and fail as a writer does whose partial file is gone."""
    stack.enter_context(locks.held(folder, me=taker))
    raise FileNotFoundError(2, "swept", str(folder / "file"))


def test_an_error_of_the_system_after_a_takeover_names_who_took_over(tmp_path: Path) -> None:
    after = dataclasses.replace(JOB, host="node8", restart=2, token="mine")
    message = r"of job 31, restart 2, which took over"
    stack = contextlib.ExitStack()
    with stack, pytest.raises(AlexrepError, match=message), locks.held(tmp_path, me=JOB):
        swept_by(after, tmp_path, stack)


def test_whether_a_folder_is_held_is_told_without_a_lock(tmp_path: Path) -> None:
    assert not locks.is_held(tmp_path)
    assert not locks.is_held(tmp_path / "none")
    lock = leave(tmp_path, ELSEWHERE)
    assert locks.is_held(tmp_path)
    for age_s in (500, -500):
        then = time.time() - age_s
        os.utime(lock, (then, then))
        assert not locks.is_held(tmp_path)


def test_what_the_dead_left_is_swept_but_not_below_a_folder_that_is_held(
    tmp_path: Path, left_partial: Callable[[Path], Path]
) -> None:
    left = left_partial(tmp_path / "images" / "0.tar")
    below = left_partial(tmp_path / "run" / "checkpoints" / "last.pt")
    for path in (left, below):
        files.write_bytes(path, b"half")
    with locks.held(tmp_path, "0-of-2"):
        assert left.exists()
    with locks.held(tmp_path / "run", me=ELSEWHERE):
        below.touch()
        with locks.held(tmp_path):
            assert (left.exists(), below.exists()) == (False, True)
    with locks.held(tmp_path):
        assert not below.exists()


def test_locking_leaves_the_probe_of_another_process_alone(tmp_path: Path) -> None:
    probe = files.partial_path(tmp_path / "run" / ".lock-clock-0123")
    files.make_folder(probe.parent)
    probe.touch()
    with locks.held(tmp_path):
        assert probe.exists()


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
        with locks.held(tmp_path, me=me) as check:
            check()
    else:
        assert "process 4 on node7 of job 31, restart 1, last heard" in refusal(tmp_path, me)


def test_who_was_taken_over_is_told_by_whom_and_leaves_the_lock_alone(tmp_path: Path) -> None:
    after = dataclasses.replace(JOB, host="node8", restart=2, token="mine")
    with locks.held(tmp_path, me=JOB) as old:
        with locks.held(tmp_path, me=after) as new:
            wanted = "expected only process 4 on node7 of job 31, restart 1, found process 4 on "
            with pytest.raises(AlexrepError, match=wanted + "node8 of job 31, restart 2, which"):
                old()
            new()
        with pytest.raises(AlexrepError, match="found the lock removed; start again to go on"):
            old()
    assert files_of(tmp_path) == []


def test_a_process_elsewhere_that_slept_too_long_finds_itself_taken_over(tmp_path: Path) -> None:
    with locks.held(tmp_path, me=ELSEWHERE) as old:
        os.utime(tmp_path / ".lock-run-1", (0, 0))
        with locks.held(tmp_path) as new:
            message = rf"found process {os.getpid()} on .*, which took over; leave the folder to it"
            with pytest.raises(AlexrepError, match=message):
                old()
            new()


def test_a_lock_without_words_is_of_one_that_has_just_begun(tmp_path: Path) -> None:
    path = tmp_path / ".lock-run-3"
    path.touch()
    assert "at work (one that has just begun, last heard of " in refusal(tmp_path)
    os.utime(path, (0, 0))
    with locks.held(tmp_path):
        assert files_of(tmp_path) == [".lock-run-4"]


def test_locks_of_two_generations_are_one(tmp_path: Path) -> None:
    """A process that takes over and dies before it removes the old lock leaves two."""
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
    """Try to take the lock; if it succeeds, hold it until all others have been refused."""
    time.sleep(max(0, start - time.time()))
    try:
        with locks.held(folder) as check:
            won.put(os.getpid())
            for _ in range(7):
                assert lost.acquire(timeout=PATIENCE_S)
            check()
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
        for process in crowd:
            process.start()
        pids = sorted(won.get(timeout=PATIENCE_S) for _ in range(num + 1))
        for process in crowd:
            process.join()
        winners = [pid for pid in pids if pid]
        assert len(winners) == 2
        assert len(set(winners)) == 1
        assert files_of(folder) == []
