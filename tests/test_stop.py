"""When a metric stops a run: by patience, by target, never before the first epoch."""

import math
from typing import Any

import pytest

from alexrep.config.schedules import Stop
from alexrep.runs.log import Row
from alexrep.training import stop
from alexrep.training.job import Position


def stopped(values: list[float | None], **rule: Any) -> tuple[int, str]:
    """Return the epoch after which a run with these values ends, or -1, and why."""
    position = Position()
    for epoch, value in enumerate(values):
        stop.judge(Stop(**rule), position, {"epoch": epoch, rule["metric"]: value})
        if position.stopped:
            return epoch, position.stopped
    return -1, ""


@pytest.mark.parametrize(
    ("values", "epoch"),
    [
        ([9.0, 5.0, 6.0, 5.0], 3),  # equal is no new lowest value
        ([9.0, 5.0, 6.0, 4.9, 5.0, 5.0], 5),
        ([9.0, 5.0, 6.0, 4.9, 5.0], -1),
        ([1.0, 5.0], -1),
        ([1.0, 5.0, 5.0], 2),
        ([None, 5.0, 5.0], -1),
    ],
)
def test_patience_counts_epochs_without_a_new_lowest_value(
    values: list[float | None], epoch: int
) -> None:
    assert stopped(values, metric="val_loss", patience=2)[0] == epoch


def test_the_reason_tells_the_metric_and_its_lowest_value() -> None:
    _, why = stopped([9.0, 5.0, 6.0, 7.0], metric="val_loss", patience=2)
    assert why == "val_loss 7: 2 epochs since its lowest, 5"


def test_a_target_is_reached_at_it_and_under_it() -> None:
    reached = stopped([0.9, 0.3, 0.25], metric="val_top1_error", target=0.25)
    assert reached == (2, "val_top1_error 0.25 has reached 0.25")


def test_no_run_ends_before_its_first_epoch() -> None:
    assert stopped([0.1, 0.9, 0.1], metric="val_loss", target=0.5)[0] == 2


def test_without_a_rule_nothing_ends() -> None:
    position = Position(epoch=3)
    stop.judge(None, position, {"epoch": 3, "val_loss": 0.0})
    assert position == Position(epoch=3)


LOG: list[Row] = [
    {"kind": "epoch", "epoch": epoch, "val_loss": loss} for epoch, loss in enumerate([5, 2, 3])
]


@pytest.mark.parametrize(
    ("rule", "lowest", "waited", "is_stopped"),
    [
        (None, math.inf, 0, False),
        (Stop(metric="val_loss", patience=1), 2, 1, True),
        (Stop(metric="val_loss", patience=2), 2, 1, False),
        (Stop(metric="val_loss", target=2.0), 2, 1, False),  # reached, but not after the last epoch
        (Stop(metric="val_loss", target=4.0), 2, 1, True),
    ],
)
def test_another_rule_is_held_against_the_log(
    rule: Stop | None, lowest: float, waited: int, is_stopped: bool
) -> None:
    before = Position(epoch=2, step=9, lowest=0.5, waited=7, stopped="train_loss 1")
    rows: list[Row] = [{"kind": "event", "text": "begun"}, *LOG]
    after = stop.judge_again(rule, before, rows)
    assert (after.lowest, after.waited, bool(after.stopped)) == (lowest, waited, is_stopped)
    assert (after.epoch, after.step) == (2, 9)
