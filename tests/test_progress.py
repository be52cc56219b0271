"""The progress of a stage, on a terminal and in a log."""

import io
import os
import signal
import sys
import threading

import pytest

from alexrep.errors import Interrupted
from alexrep.stages.cli.progress import counted, meter, span


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_after_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with meter(10_000, "images", clock=clock) as advance:
        clock.now += 30
        advance(1_500)
    assert capsys.readouterr().err == "1,500/10,000 images, 50.0/s, 2:50 left\n"


def test_a_log_gets_no_second_line_before_the_next_half_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with meter(100, "shards", clock=clock) as advance:
        for _ in range(100):
            clock.now += 1
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("/")[0] for line in lines] == ["30", "60", "90"]


def test_a_log_can_tell_that_nothing_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with meter(10, "images", clock=clock) as advance:
        clock.now += 31
        advance(0)
    assert capsys.readouterr().err == "0/10 images, 0.0/s, time left unknown\n"


def test_what_an_earlier_start_has_done_counts_for_no_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with meter(10_000, "images", clock=clock) as advance:
        advance.before(7_000)
        clock.now += 30
        advance(1_500)
    assert capsys.readouterr().err == "8,500/10,000 images, 50.0/s, 0:30 left\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with meter(10, "images", quiet=True, clock=clock) as advance:
        clock.now += 60
        advance.before(1)
        advance(5)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with meter(4, "images") as advance:
        advance(1)
        advance(3)
    shown = terminal.getvalue()
    assert "100%" in shown
    assert "4/4" in shown
    assert "images/s" in shown


def test_a_bar_counts_no_rate_of_what_an_earlier_start_has_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("tqdm.std.time", clock)
    with meter(10_000, "images") as advance:
        advance.before(9_000)
        clock.now += 10
        advance(100)
    last = terminal.getvalue().rsplit("\r", 1)[1]
    assert "9100/10000" in last
    assert "[00:10<01:30, 10.00 images/s]" in last


@pytest.mark.parametrize(("seconds", "text"), [(9, "0:09"), (3599.6, "1:00:00"), (90, "1:30")])
def test_a_span_reads_as_a_clock(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize("quiet", [True, False])
def test_the_lock_is_looked_at_after_each_part_of_the_work(quiet: bool) -> None:
    looks: list[None] = []
    with meter(100, "images", quiet, check=lambda: looks.append(None)) as progress:
        progress.before(10)
        progress(1)
        progress(1)
    assert len(looks) == 3


def test_ctrl_c_ends_the_work_after_its_part_and_tells_what_is_kept(
    capfd: pytest.CaptureFixture[str],
) -> None:
    parts: list[int] = []

    def work() -> None:
        with meter(10, "images", where="data") as progress:
            progress.before(2)
            progress(3)
            os.kill(os.getpid(), signal.SIGINT)
            said.append(capfd.readouterr().err)
            parts.append(4)
            progress(4)
            parts.append(1)

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt) as ended:
        work()
    assert said[0] == "alexrep: Ctrl-C: stopping after this unit; again to end at once\n"
    wanted = "data: 9 of 10 images done and kept; stopped by Ctrl-C; start again to go on"
    assert str(ended.value) == wanted
    assert parts == [4]
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_ctrl_c_tells_where_nothing_is_kept() -> None:
    def work() -> None:
        with meter(9, "images", where="x", keeps=False) as progress:
            os.kill(os.getpid(), signal.SIGINT)
            progress(0)

    with pytest.raises(KeyboardInterrupt, match="x: 0 of 9 images looked at; stopped by Ctrl-C; s"):
        work()


def test_a_closed_terminal_ends_the_work_after_its_part_and_can_go_on() -> None:
    former = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started the tests may ignore it
    parts: list[int] = []

    def work() -> None:
        with meter(9, "images", where="x") as progress:
            os.kill(os.getpid(), signal.SIGHUP)
            parts.append(4)
            progress(4)
            parts.append(5)

    try:
        with pytest.raises(Interrupted, match="4 of 9 images done and kept; stopped by SIGHUP"):
            work()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, former)
    assert parts == [4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("is_ignored", [True, False])
def test_a_signal_that_is_ignored_or_handled_elsewhere_is_left_alone(
    is_ignored: bool, number: signal.Signals
) -> None:
    handler = signal.SIG_IGN if is_ignored else lambda *_: None
    former = signal.signal(number, handler)
    try:
        with meter(1, "images") as progress:
            assert signal.getsignal(number) == handler
            os.kill(os.getpid(), number)
            progress(1)
    finally:
        signal.signal(number, former)


def test_another_thread_has_progress_too() -> None:
    told: list[int] = []

    def work() -> None:
        with meter(1, "images", quiet=True) as progress:
            progress(1)
            told.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [1]


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "epochs", "1 epoch"),
        (0, "steps", "0 steps"),
        (1, "train images", "1 train image"),
        (1200, "images", "1,200 images"),
        (1, "classes", "1 class"),
        (1, "val quarantined", "1 val quarantined"),
    ],
)
def test_one_thing_is_no_plural(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


@pytest.mark.parametrize(("quiet", "said"), [(False, "counting\n"), (True, "")])
def test_a_line_is_shown_at_once_unless_quiet(
    quiet: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with meter(10, "images", quiet) as advance:
        advance(10)
        advance.note("counting")
        assert capsys.readouterr().err == said


def test_a_line_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with meter(10, "images") as advance:
        advance(10)
        advance.note("counting")
    assert "\rcounting\n" in terminal.getvalue().replace(" ", "")
