"""The progress of a stage, on a terminal and in a log."""

import io
import sys

import pytest

from alexrep.stages.cli.progress import meter, span


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
