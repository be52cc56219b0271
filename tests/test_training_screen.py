"""What a training shows on a terminal, and in a log."""

import io
import sys

import pytest
from tqdm import tqdm

from alexrep.runs.log import Row
from alexrep.stages.cli.training_screen import BarScreen, LineScreen, Screen

ROW: Row = {
    "kind": "epoch",
    "epoch": 1,
    "train_loss": 2.465,
    "train_error": 0.8982,
    "train_top5_error": 0.5297,
    "val_loss": 2.38,
    "val_top1_error": 0.8633,
    "val_top5_error": 0.4967,
    "weights_rate": 0.003,
    "images_per_s": 111.3,
}
UNTRAINED: Row = {
    **dict.fromkeys(ROW),
    "epoch": 0,
    "val_loss": 2.368,
    "val_top1_error": 0.9,
    "val_top5_error": 0.4933,
}


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def train(screen: Screen, clock: Clock) -> None:
    """Score the untrained network in 10 s; train an epoch of 1,000 images; score for 20 s."""
    screen.validates(0, 300)
    clock.now += 10
    screen.scored(300)
    screen.row(UNTRAINED)
    screen.trains(0, 0.003)
    for _ in range(10):
        clock.now += 2
        screen.loss(2.5)
        screen.progress(100)
    screen.validates(1, 300)
    clock.now += 20
    screen.scored(400)
    screen.row(ROW)


def test_a_log_has_a_line_an_epoch_and_says_what_takes_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    train(LineScreen(3, 1000, clock), clock)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "scores the network before its first step, on 300 prepared val images"
    assert lines[1] == "untrained: val loss 2.368, top-1 90.00 %, top-5 49.33 %"
    assert lines[-1] == (
        "epoch 1/3: train loss 2.465, top-1 89.82 %, top-5 52.97 %; "
        "val loss 2.38, top-1 86.33 %, top-5 49.67 %; rate 0.003; 111.3 images/s"
    )


def test_a_log_has_a_line_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    screen = LineScreen(3, 1000, clock)
    train(screen, clock)
    clock.now += 100
    screen.trains(1, 0.0003)
    screen.progress(0)
    capsys.readouterr()
    for _ in range(12):
        clock.now += 4
        screen.loss(1.25)
        screen.progress(10)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("epoch 2/3 loss 1.25 val 86.33 / 49.67 % rate 0.0003 ")
    assert said[0].endswith(" left")


def test_the_time_left_counts_val_and_the_last_steps_alone() -> None:
    clock = Clock()
    screen = Screen(3, 1000, clock)
    train(screen, clock)
    screen.trains(1, 0.003)
    for _ in range(200):
        clock.now += 0.5
        screen.progress(5)
    # The last 100 steps: 10 images/s. 1,000 images, and val twice 20 s.
    assert screen.standing().endswith("rate 0.003 10 images/s 2:20 left")


def test_scoring_is_no_time_of_a_step() -> None:
    clock = Clock()
    screen = Screen(3, 1000, clock)
    train(screen, clock)
    clock.now += 1000
    screen.trains(1, 0.003)
    clock.now += 2
    screen.progress(100)
    assert "50 images/s" in screen.standing()


def test_while_val_is_scored_its_images_are_shown() -> None:
    screen = Screen(3, 1000, Clock())
    screen.validates(2, 300)
    screen.scored(120)
    screen.scored(120)
    assert screen.standing().endswith("val 240/300")


def test_a_run_that_goes_on_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    screen = LineScreen(3, 1000, clock)
    screen.before(1500)
    screen.goes_on(1, 1234)
    screen.trains(1, 0.01)
    clock.now += 30
    screen.progress(300)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "goes on after epoch 1 of 3, at step 1,234"
    # 1,200 images at 10 images/s; nothing is known of val yet.
    assert lines[1] == "epoch 2/3 rate 0.01 10 images/s 2:00 left"


def test_what_is_not_known_is_left_out() -> None:
    screen = Screen(3, 1000, Clock())
    screen.trains(0, 0.01)
    assert screen.standing() == "epoch 1/3 rate 0.01"


def test_a_terminal_has_a_bar_and_lines_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    form = "{desc} |{bar}| {percentage:3.0f} %"
    with tqdm(total=3000, bar_format=form, file=terminal, ncols=100, mininterval=0) as bar:
        screen = BarScreen(bar, 3, 1000)
        train(screen, Clock())
        screen.trains(1, 0.003)
        screen.progress(500)
    shown = terminal.getvalue()
    lines = [line.rsplit("\r", 1)[-1] for line in shown.split("\n")]
    assert "untrained: val loss 2.368, top-1 90.00 %, top-5 49.33 %" in lines
    assert any(line.startswith("epoch 1/3: train loss 2.465") for line in lines)
    assert "epoch 2/3 loss 2.5 val 86.33 / 49.67 % rate 0.003" in shown
    assert " 50 %" in shown
    assert "val 300/300" in shown


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    train(Screen(3, 1000, clock), clock)
    assert capsys.readouterr() == ("", "")
