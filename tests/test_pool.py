"""Work in worker processes: every result, every fault, and no worker left behind."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from waiting import PATIENCE_S, wait_until

from alexrep import pool
from alexrep.errors import AlexrepError, DataError

Pair = tuple[int, int]
WORK_S = 120
"""Seconds of work of a worker that the test kills before it is done."""

WORK = f"""
import os, signal, time
from pathlib import Path
from alexrep.errors import DataError


def square(number):
    return number * number


def where(number):
    return os.getpid()


def fail_at_3(number):
    if number == 3:
        raise DataError("DATA: expected an image, found 3; look")
    return number


def hang_up(number):
    os.kill(os.getpid(), signal.SIGHUP)
    return number


def rename(paths):
    os.replace(*paths)


def exhaust_at_3(number):
    if number == 3:
        return len(bytearray(1 << 60))
    return number


def die_at_3(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return number


def wait_and_tell(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep({WORK_S})
"""

PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
import work
from alexrep import pool
if __name__ == "__main__":
    try:
        for _ in pool.run(work.wait_and_tell, [sys.argv[2]] * 2, 2, str):
            pass
    except KeyboardInterrupt:
        sys.exit(130)
"""

BREAKS = """
import os, signal, sys, time
from multiprocessing import active_children, popen_spawn_posix as born
former, calls = born.set_spawning_popen, []


def then_break(popen):
    former(popen)
    calls.append(popen)
    if len(calls) == 4:  # the second worker's pipes are chosen, and not yet passed on
        if sys.argv[3] == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        for child in active_children():
            child.kill() if child.pid else None
        time.sleep(0.5)  # the pool closes its pipes


born.set_spawning_popen = then_break
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a module that workers can import."""
    (tmp_path / "work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "work", raising=False)
    import work  # type: ignore[import-not-found]

    assert isinstance(work, ModuleType)
    return work


def is_alive(process: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return False
    return not state.startswith("Z")


def none_lives(processes: Iterable[int]) -> bool:
    return not any(is_alive(process) for process in processes)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_comes_back_once_with_its_result(work: ModuleType, workers: int) -> None:
    results = dict(pool.run(work.square, range(20), workers, str))
    assert results == {number: number * number for number in range(20)}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_items_give_no_results(work: ModuleType, workers: int) -> None:
    assert list(pool.run(work.square, [], workers, str)) == []


def test_one_worker_works_here_and_in_order(work: ModuleType) -> None:
    assert list(pool.run(work.where, range(3), 1, str)) == [(n, os.getpid()) for n in range(3)]


def test_more_workers_are_other_processes(work: ModuleType) -> None:
    pids = {process for _, process in pool.run(work.where, range(4), 2, str)}
    assert os.getpid() not in pids
    assert none_lives(pids)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_worker_is_raised_here(work: ModuleType, workers: int) -> None:
    with pytest.raises(AlexrepError, match="DATA: expected an image, found 3; look"):
        list(pool.run(work.fail_at_3, range(100), workers, str))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_system_keeps_its_names(
    work: ModuleType, tmp_path: Path, workers: int
) -> None:
    paths = str(tmp_path / "work.py"), str(tmp_path / "taken")
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        list(pool.run(work.rename, [paths], workers, str))
    assert (caught.value.filename, caught.value.filename2) == paths


def test_a_killed_worker_is_named_with_its_unit(work: ModuleType) -> None:
    message = r"unit-3.*: expected a result, found a worker that was killed; look for a memory"
    with pytest.raises(AlexrepError, match=message):
        list(pool.run(work.die_at_3, range(1000), 2, lambda number: f"unit-{number}"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_without_memory_is_named_with_its_unit(work: ModuleType, workers: int) -> None:
    message = "unit-3: expected a result, found no memory left; use fewer workers"
    with pytest.raises(AlexrepError, match=message):
        list(pool.run(work.exhaust_at_3, range(1000), workers, lambda number: f"unit-{number}"))


def test_a_caller_that_stops_leaves_no_worker(work: ModuleType) -> None:
    results = pool.run(work.where, range(1000), 2, str)
    _, process = next(results)
    assert is_alive(process)
    results.close()  # type: ignore[attr-defined]
    assert not is_alive(process)


@pytest.mark.parametrize("fault", [DataError("3 is not there"), None])
def test_threads_are_told_when_nobody_waits_for_them(fault: DataError | None) -> None:
    ending, ended = threading.Event(), list[bool]()

    def work(number: int) -> None:
        if number > 0:
            ended.append(ending.wait(PATIENCE_S))
        elif fault is not None:
            raise fault

    results = pool.run(work, range(4), 2, str, ending=ending)
    if fault is not None:
        with pytest.raises(DataError, match="3 is not there"):
            list(results)
    else:
        next(results)
        results.close()  # type: ignore[attr-defined]
    assert all(ended)


class Parent(NamedTuple):
    """A process with two workers that have work for `WORK_S` seconds each."""

    process: subprocess.Popen[str]
    pid_files: Path
    """Folder with a file for each worker at work, named by its pid."""

    def num_children(self) -> int:
        """Return the number of its child processes: workers and the resource tracker."""
        pid = self.process.pid
        return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def workers(self) -> list[int]:
        """Return the pids of the workers at work."""
        return [int(path.name) for path in self.pid_files.iterdir()]

    def wait_for_workers(self) -> None:
        wait_until(lambda: len(self.workers()) == 2, "two workers at work")


@pytest.fixture
def parent(tmp_path: Path, work: ModuleType) -> Iterator[Parent]:
    """Return a parent with a process group of its own, as a shell would start it."""
    pid_files, script = tmp_path / "pids", tmp_path / "parent.py"
    pid_files.mkdir()
    script.write_text(PARENT)
    command = [sys.executable, str(script), str(tmp_path), str(pid_files)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        yield Parent(process, pid_files)
        process.kill()


def test_no_worker_survives_the_parent_that_is_killed(parent: Parent) -> None:
    parent.wait_for_workers()
    assert all(is_alive(process) for process in parent.workers())
    parent.process.send_signal(signal.SIGKILL)
    parent.process.wait()
    wait_until(lambda: none_lives(parent.workers()), "the end of the workers", WORK_S / 2)


@pytest.mark.parametrize("num_children", [1, 2, 3])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_while_workers_are_born_is_silent(
    parent: Parent, number: signal.Signals, code: int, num_children: int
) -> None:
    wait_until(lambda: parent.num_children() >= num_children, "workers to be born")
    os.killpg(parent.process.pid, number)
    assert parent.process.communicate(timeout=WORK_S / 2)[1] == ""
    assert parent.process.returncode == code


@pytest.mark.parametrize(
    ("cause", "code", "message"),
    [("signal", 143, ""), ("memory", 1, "expected a result, found a worker that was killed")],
)
def test_a_worker_that_dies_while_another_is_born_ends_all(
    tmp_path: Path, work: ModuleType, cause: str, code: int, message: str
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(BREAKS + PARENT)
    command = [sys.executable, str(script), str(tmp_path), str(tmp_path), cause]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == code
    assert message in ended.stderr
    assert "Error" not in ended.stderr.replace("AlexrepError", "")
    assert bool(ended.stderr) == bool(message)


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (ValueError("bad value(s) in fds_to_keep"), AlexrepError, "^a worker between items: exp"),
        (OSError("handle is closed"), AlexrepError, "a worker that was killed"),
        (BlockingIOError(errno.EAGAIN, "too many processes"), OSError, "too many processes"),
    ],
)
def test_only_a_broken_pool_is_called_a_killed_worker(
    work: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    error: type[Exception],
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(ProcessPoolExecutor, "submit", fail)
    with pytest.raises(error, match=message):
        list(pool.run(work.square, range(2), 2, lambda number: f"unit-{number}"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("to_all", [True, False])
def test_a_signal_ends_workers_in_the_midst_of_their_work(
    parent: Parent, number: signal.Signals, code: int, to_all: bool
) -> None:
    parent.wait_for_workers()
    (os.killpg if to_all else os.kill)(parent.process.pid, number)
    assert parent.process.communicate(timeout=WORK_S / 2)[1] == ""
    assert parent.process.returncode == code
    assert none_lives(parent.workers())


def test_a_closed_terminal_ends_no_worker(work: ModuleType) -> None:
    assert [number for number, _ in pool.run(work.hang_up, [5], 2, str)] == [5]


def test_the_former_handlers_of_signals_are_back_afterwards(work: ModuleType) -> None:
    former = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert len(list(pool.run(work.square, range(2), 2, str))) == 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == former
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_as_many_processors_as_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert pool.available() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_results_that_come_in_any_order_are_yielded_in_that_of_the_items(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(
        work: Callable[[Pair], int],
        items: Iterable[Pair],
        workers: int,
        name: Callable[[Pair], str],
    ) -> Iterator[tuple[Pair, int]]:
        pairs = list(items)
        assert [name(pair) for pair in pairs] == ["0", "1", "2", "3"]
        yield from ((pairs[place], work(pairs[place])) for place in order)

    monkeypatch.setattr(pool, "run", run)
    assert list(pool.run_in_order(lambda item: item * 10, range(4), 2, str)) == [0, 10, 20, 30]
