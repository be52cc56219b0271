"""Learning-rate curves: known values, and what holds for all of them."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alexrep.config.curves import (
    Cosine,
    Exponential,
    Geometric,
    Listed,
    Milestones,
    Plateau,
    Step,
)
from alexrep.config.rates import rates_at
from alexrep.config.schedules import Change, Schedule, Warmup

STARTS = st.floats(1e-6, 10)
FACTORS = st.floats(0.1, 0.99)
COUNTS = st.integers(1, 300)
ERRORS = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def never_rises(rates: Sequence[float]) -> bool:
    return all(after <= before for before, after in pairwise(rates))


def after(curve: Plateau, errors: Sequence[float]) -> float:
    """Return the rate of the epoch that follows those with these errors."""
    return curve.rate(len(errors) - 1, 100, errors)


def plateau(patience: int = 2, floor: float = 0.0) -> Plateau:
    return Plateau(kind="plateau", start=1.0, factor=0.1, patience=patience, floor=floor)


def test_geometric_parts_by_hand() -> None:
    curve = Geometric(kind="geometric", start=8.0, end=1.0, parts=4)
    rates = [curve.rate(epoch, 8) for epoch in range(8)]
    assert rates == pytest.approx([8, 8, 4, 4, 2, 2, 1, 1])


def test_steps_by_hand() -> None:
    curve = Step(kind="step", start=1.0, factor=0.5, every=2)
    assert [curve.rate(epoch, 5) for epoch in range(5)] == [1, 1, 0.5, 0.5, 0.25]


def test_milestones_by_hand() -> None:
    curve = Milestones(kind="milestones", start=1.0, factor=0.5, at=(1, 3))
    assert [curve.rate(epoch, 5) for epoch in range(5)] == [1, 0.5, 0.5, 0.25, 0.25]


def test_steps_and_milestones_keep_their_floors() -> None:
    step = Step(kind="step", start=1.0, factor=0.5, every=1, floor=0.3)
    assert [step.rate(epoch, 4) for epoch in range(4)] == [1, 0.5, 0.3, 0.3]
    milestones = Milestones(kind="milestones", start=1.0, factor=0.1, at=(1, 2), floor=0.05)
    assert [milestones.rate(epoch, 4) for epoch in range(4)] == [1, 0.1, 0.05, 0.05]


def test_listed_rates_are_those_of_the_list_and_the_last_stays() -> None:
    curve = Listed(kind="listed", rates=(0.1, 0.3, 0.0))
    assert [curve.rate(epoch, 5) for epoch in range(5)] == [0.1, 0.3, 0.0, 0.0, 0.0]


def test_a_cosine_is_that_of_torch() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=8, eta_min=0.1)
    curve = Cosine(kind="cosine", start=0.5, floor=0.1, begins=2)
    assert [curve.rate(epoch, 10) for epoch in range(3)] == [0.5] * 3
    for epoch in range(2, 10):
        assert curve.rate(epoch, 10) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        peer.step()


@given(STARTS, st.floats(0, 1), st.integers(0, 20), COUNTS)
def test_a_cosine_never_rises_and_keeps_its_floor(
    start: float, share: float, begins: int, epochs: int
) -> None:
    curve = Cosine(kind="cosine", start=start, floor=start * share, begins=begins)
    rates = [curve.rate(epoch, epochs) for epoch in range(epochs)]
    assert never_rises(rates)
    assert start * share * (1 - 1e-12) <= min(rates) <= max(rates) <= start


def test_a_warm_up_is_torchs_linear_one_whatever_the_rates() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    peer = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=0.1, total_iters=4)
    schedule = Schedule(
        epochs=6,
        weights=Step(kind="step", start=0.5, factor=0.5, every=5),
        biases=Step(kind="step", start=0.25, factor=0.5, every=5),
        warmup=Warmup(epochs=4, first=0.1),
        changes=(Change(epoch=0, layers=("conv1",), weights=1.0),),
    )
    for epoch in range(5):
        rates, rate = rates_at(schedule, epoch), optimiser.param_groups[0]["lr"]
        found = [rates.weights, rates.biases, *rates.layers["conv1"]]
        assert found == pytest.approx([rate, rate / 2, 2 * rate, rate / 2])
        optimiser.step()
        peer.step()
    assert rates_at(schedule, 5).weights == 0.25


def test_biases_without_a_curve_have_that_of_weights() -> None:
    schedule = Schedule(epochs=6, weights=Step(kind="step", start=0.5, factor=0.5, every=5))
    assert [rates_at(schedule, epoch).biases for epoch in (0, 5)] == [0.5, 0.25]


def test_an_exponential_by_hand() -> None:
    curve = Exponential(kind="exponential", start=1.0, factor=0.5, floor=0.2)
    assert [curve.rate(epoch, 5) for epoch in range(5)] == [1, 0.5, 0.25, 0.2, 0.2]


def test_a_plateau_by_hand() -> None:
    errors = [0.9, 0.8, 0.8, 0.85, 0.7, 0.7, 0.7, 0.7, 0.7]
    rates = [after(plateau(), errors[: n + 1]) for n in range(len(errors))]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001])


def test_an_equal_error_is_no_lower_one() -> None:
    assert after(plateau(patience=1), [0.5, 0.5]) == pytest.approx(0.1)


@given(STARTS, FACTORS, st.integers(2, 12), COUNTS)
def test_geometric_never_rises_and_stays_between_its_ends(
    start: float, share: float, parts: int, epochs: int
) -> None:
    curve = Geometric(kind="geometric", start=start, end=start * share, parts=parts)
    rates = [curve.rate(epoch, epochs) for epoch in range(epochs)]
    assert never_rises(rates)
    assert rates[0] == start
    assert all(start * share * (1 - 1e-12) <= rate <= start for rate in rates)


@given(st.integers(2, 12), st.integers(1, 40))
def test_geometric_parts_are_equally_long(parts: int, length: int) -> None:
    curve = Geometric(kind="geometric", start=1.0, end=0.1, parts=parts)
    epochs = parts * length
    rates = [curve.rate(epoch, epochs) for epoch in range(epochs)]
    assert [rates.count(rate) for rate in sorted(set(rates))] == [length] * parts


@given(STARTS, FACTORS, COUNTS, COUNTS)
def test_steps_never_rise_and_fall_once_in_so_many_epochs(
    start: float, factor: float, every: int, epochs: int
) -> None:
    curve = Step(kind="step", start=start, factor=factor, every=every)
    rates = [curve.rate(epoch, epochs) for epoch in range(epochs)]
    assert never_rises(rates)
    falls = [epoch for epoch in range(1, epochs) if rates[epoch] < rates[epoch - 1]]
    assert falls == list(range(every, epochs, every))


@given(STARTS, FACTORS, st.sets(st.integers(1, 99), min_size=1, max_size=6))
def test_milestones_fall_where_they_stand(start: float, factor: float, at: set[int]) -> None:
    curve = Milestones(kind="milestones", start=start, factor=factor, at=tuple(sorted(at)))
    rates = [curve.rate(epoch, 100) for epoch in range(100)]
    assert {epoch for epoch in range(1, 100) if rates[epoch] < rates[epoch - 1]} == at


@given(STARTS, FACTORS, st.floats(0, 1), COUNTS)
def test_an_exponential_never_rises_and_keeps_its_floor(
    start: float, factor: float, share: float, epochs: int
) -> None:
    floor = start * share
    curve = Exponential(kind="exponential", start=start, factor=factor, floor=floor)
    rates = [curve.rate(epoch, epochs) for epoch in range(epochs)]
    assert never_rises(rates)
    assert min(rates) >= floor


@given(ERRORS, st.integers(1, 5), st.floats(0, 1))
def test_a_plateau_never_rises_and_keeps_its_floor(
    errors: list[float], patience: int, floor: float
) -> None:
    curve = plateau(patience, floor)
    rates = [after(curve, errors[: n + 1]) for n in range(len(errors))]
    assert never_rises(rates)
    assert min(rates) >= floor


@given(st.integers(1, 60), st.integers(1, 5))
def test_a_plateau_waits_while_the_error_falls(epochs: int, patience: int) -> None:
    falling = [1 / (epoch + 1) for epoch in range(epochs)]
    assert after(plateau(patience), falling) == 1.0


@given(st.integers(1, 40), st.integers(1, 6))
def test_a_plateau_falls_once_in_patience_epochs_of_standstill(waits: int, patience: int) -> None:
    rate = after(plateau(patience), [0.5] * (waits + 1))
    assert rate == pytest.approx(0.1 ** (waits // patience))


def test_a_plateau_takes_the_same_rate_from_the_same_errors_again() -> None:
    errors = [0.9, 0.9, 0.9, 0.5, 0.6, 0.6]
    curve = plateau()
    assert after(curve, errors) == after(curve, list(errors)) == pytest.approx(0.01)


@pytest.mark.parametrize("at", [(3, 2), (2, 2)])
def test_milestones_that_do_not_rise_are_an_error(at: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="at must rise"):
        Milestones(kind="milestones", start=1.0, factor=0.5, at=at)


def test_a_geometric_curve_that_rises_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"end must be start or under it"):
        Geometric(kind="geometric", start=0.01, end=0.02, parts=4)


@pytest.mark.parametrize("kind", ["exponential", "plateau"])
def test_a_floor_over_the_start_is_an_error(kind: str) -> None:
    made = {"kind": kind, "start": 0.01, "factor": 0.1, "floor": 0.02}
    more = {"patience": 2} if kind == "plateau" else {}
    with pytest.raises(ValidationError, match="floor must be start or under it"):
        (Plateau if kind == "plateau" else Exponential).model_validate(made | more)


def test_a_plateau_without_the_errors_so_far_is_refused() -> None:
    with pytest.raises(ValueError, match="errors: expected 3 for a plateau, found 1"):
        plateau().rate(2, 9, [0.5])


CURVE = {"kind": "step", "start": 0.01, "factor": 0.1, "every": 2}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"biases": CURVE}, "weights must have a curve where biases have one"),
        (
            {"weights": CURVE, "biases": CURVE, "changes": [{"epoch": 1, "weights": 0.1}]},
            "beside curves, changes may set rates of named layers only",
        ),
    ],
)
def test_half_a_curve_or_rates_beside_curves_are_refused(
    table: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Schedule.model_validate_json(json.dumps({"epochs": 4, **table}))
