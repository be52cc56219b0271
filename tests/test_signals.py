"""Signals: the first sets a flag, the second ends the process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from alexrep.errors import Interrupted
from alexrep.signals import SIGNALS, flagged, watch

CHILD = """
import time
from alexrep.signals import flagged
with flagged() as signalled:
    print("ready", flush=True)
    while signalled() is None:
        time.sleep(0.01)
    print(signalled(), flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def a_terminal() -> Iterator[None]:
    """Have SIGHUP not ignored, as it is below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """Start a process that waits for its first signal, prints its name, and goes on."""
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert next_line(process) == "ready"
        yield process
        process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def test_without_a_signal_there_is_nothing_to_tell() -> None:
    with flagged() as signalled:
        assert signalled() is None


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_signal_only_sets_the_flag(number: signal.Signals) -> None:
    with flagged() as signalled:
        os.kill(os.getpid(), number)
        assert signalled() == number.name
        assert signalled() == number.name


def test_the_former_handlers_are_back_afterwards() -> None:
    before = handlers()
    with flagged():
        assert all(handler not in before for handler in handlers())
    assert handlers() == before


def test_the_former_handlers_are_back_after_an_error() -> None:
    def fail() -> None:
        with flagged():
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError("broken")

    before = handlers()
    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert handlers() == before


def test_the_next_work_starts_without_a_flag() -> None:
    with flagged():
        os.kill(os.getpid(), signal.SIGUSR2)
    with flagged() as signalled:
        assert signalled() is None


@pytest.mark.parametrize("second", [one for one in SIGNALS if one != signal.SIGHUP])
def test_a_second_signal_ends_at_once(child: subprocess.Popen[str], second: signal.Signals) -> None:
    child.send_signal(signal.SIGTERM)
    assert next_line(child) == "SIGTERM"
    assert child.poll() is None
    child.send_signal(second)
    assert child.wait(timeout=30) == -second


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGUSR2, "SIGUSR2")]
)
def test_a_first_signal_is_acknowledged_at_once(
    number: signal.Signals, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with flagged("step"):
        os.kill(os.getpid(), number)
        wanted = f"alexrep: {name}: stopping after this step; again to end at once\n"
        assert capfd.readouterr().err == wanted


@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID"])
def test_of_several_processes_the_first_one_acknowledges(
    variable: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in "1", "0":
        monkeypatch.setenv(variable, rank)
        with flagged():
            os.kill(os.getpid(), signal.SIGTERM)
        assert ("stopping after" in capfd.readouterr().err) == (rank == "0")


def test_signals_that_are_not_named_are_left_alone() -> None:
    before = handlers()
    with flagged(numbers=(signal.SIGINT,)):
        changed = [old != new for old, new in zip(before, handlers(), strict=True)]
        assert changed == [number == signal.SIGINT for number in SIGNALS]


def test_work_with_nothing_to_save_ends_at_its_next_part() -> None:
    done: list[int] = []
    with flagged() as signalled:
        checked = watch(done.append, signalled)
        checked(1)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="scoring: stopped by Ctrl-C, nothing kept; start"):
            checked(2)
    assert done == [1, 2]


def test_a_terminal_that_is_closed_may_say_so_twice() -> None:
    with flagged("step") as signalled:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signalled() == "SIGHUP"


def test_a_hangup_that_is_ignored_stays_so() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with flagged("step") as signalled:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signalled() is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


SHUTDOWN = """
import atexit, os, sys
from alexrep.stages import run
atexit.register(os.kill, os.getpid(), int(sys.argv.pop()))
run()
"""


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
@pytest.mark.parametrize(("words", "code"), [(("--help",), 0), (("no-such-command",), 2)])
def test_a_signal_while_python_shuts_down_changes_no_exit_code(
    number: signal.Signals, words: tuple[str, ...], code: int
) -> None:
    command = [sys.executable, "-P", "-c", SHUTDOWN, *words, str(int(number))]
    assert subprocess.run(command, capture_output=True, check=False).returncode == code
