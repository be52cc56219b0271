"""Rates by epoch of every published run, against the lab notes of the released source.

Each row: first and last epoch (finished ones), rate of weights, of biases, of conv1's weights
and biases, whether the noise is on.
"""

import pytest

from alexrep.config import recipes
from alexrep.config.rates import rates_at
from alexrep.config.schedules import Schedule

Row = tuple[int, int, float, float, tuple[float, float], bool]

FROZEN = (0.0, 0.0)
RUN_2012: list[Row] = [
    (0, 24, 0.01, 0.02, (0.01, 0.02), True),
    (25, 50, 0.001, 0.02, (0.001, 0.02), True),
    (51, 66, 0.0001, 0.02, (0.0001, 0.02), True),
    (67, 71, 0.0001, 0.02, (0.00001, 0.02), False),
    (72, 78, 0.0001, 0.02, FROZEN, False),
    (79, 90, 0.00001, 0.02, FROZEN, False),
]
RUN_2010: list[Row] = [
    (0, 22, 0.01, 0.02, (0.01, 0.02), True),
    (23, 50, 0.001, 0.002, (0.001, 0.002), True),
    (51, 67, 0.0001, 0.002, (0.0001, 0.002), True),
    (68, 71, 0.0001, 0.002, (0.00001, 0.002), False),
    (72, 77, 0.0001, 0.002, FROZEN, False),
    (78, 92, 0.00001, 0.002, FROZEN, False),
]
CONTINUED: list[Row] = [
    *RUN_2012,
    (91, 106, 0.001, 0.02, FROZEN, True),
    (107, 123, 0.0001, 0.02, FROZEN, True),
    (124, 134, 0.00001, 0.02, FROZEN, False),
]
RUN_148: list[Row] = [
    (0, 21, 0.01, 0.02, (0.01, 0.02), True),
    (22, 43, 0.001, 0.02, (0.001, 0.02), True),
    (44, 68, 0.0001, 0.02, (0.0001, 0.02), True),
    (69, 72, 0.0001, 0.02, (0.00001, 0.02), False),
    (73, 85, 0.0001, 0.02, FROZEN, False),
    (86, 96, 0.00001, 0.02, FROZEN, False),
]
RUN_147: list[Row] = [
    (0, 22, 0.01, 0.02, (0.01, 0.02), True),
    (23, 50, 0.001, 0.002, (0.001, 0.002), True),
    (51, 78, 0.0001, 0.002, (0.0001, 0.002), True),
    (79, 89, 0.00001, 0.002, FROZEN, True),
]
RUN_150: list[Row] = [
    (0, 24, 0.01, 0.02, (0.01, 0.02), True),
    (25, 48, 0.001, 0.02, (0.001, 0.02), True),
    (49, 65, 0.0001, 0.02, (0.0001, 0.02), True),
    (66, 71, 0.0001, 0.02, (0.00001, 0.02), False),
    (72, 78, 0.0001, 0.02, FROZEN, False),
    (79, 91, 0.00001, 0.02, FROZEN, False),
]
HALF: list[Row] = [
    (0, 19, 0.01, 0.02, (0.01, 0.02), True),
    (20, 47, 0.001, 0.02, (0.001, 0.02), True),
    (48, 65, 0.0001, 0.02, (0.0001, 0.02), True),
    (66, 71, 0.0001, 0.02, (0.00001, 0.002), False),
    (72, 95, 0.0001, 0.02, FROZEN, False),
]
RUN_146: list[Row] = [
    (0, 4, 0.001, 0.02, (0.0001, 0.02), True),
    (5, 6, 0.001, 0.02, (0.00001, 0.02), True),
    (7, 21, 0.001, 0.02, FROZEN, True),
    (22, 37, 0.0001, 0.02, FROZEN, True),
    (38, 41, 0.0001, 0.02, FROZEN, False),
    (42, 53, 0.00001, 0.02, FROZEN, False),
]
RUN_170: list[Row] = [
    (0, 23, 0.01, 0.02, (0.01, 0.02), True),
    (24, 47, 0.001587, 0.02, (0.001587, 0.02), True),
    (48, 67, 0.000252, 0.002, (0.000252, 0.002), True),
    (68, 71, 0.000252, 0.002, (0.000252, 0.002), False),
    (72, 73, 0.00004, 0.002, (0.00004, 0.002), False),
    (74, 94, 0.00004, 0.002, FROZEN, False),
]
RUN_167: list[Row] = [
    (0, 23, 0.01, 0.02, (0.01, 0.02), True),
    (24, 47, 0.001, 0.02, (0.001, 0.02), True),
    (48, 62, 0.0001, 0.002, (0.0001, 0.002), True),
    (63, 71, 0.0001, 0.002, (0.0001, 0.002), False),
    (72, 72, 0.00001, 0.002, (0.00001, 0.002), False),
    (73, 94, 0.00001, 0.002, FROZEN, False),
]
RUN_169: list[Row] = [
    (0, 23, 0.01, 0.02, (0.01, 0.02), True),
    (24, 47, 0.00126, 0.02, (0.00126, 0.02), True),
    (48, 59, 0.0001587, 0.002, (0.0001587, 0.002), True),
    (60, 71, 0.0001587, 0.002, (0.0001587, 0.002), False),
    (72, 72, 0.00002, 0.002, (0.00002, 0.002), False),
    (73, 94, 0.00002, 0.002, FROZEN, False),
]
RUN_171: list[Row] = [
    (0, 18, 0.01, 0.02, (0.01, 0.02), True),
    (19, 37, 0.002115, 0.02, (0.002115, 0.02), True),
    (38, 47, 0.0004472, 0.02, (0.0004472, 0.02), True),
    (48, 56, 0.0004472, 0.002, (0.0004472, 0.002), True),
    (57, 59, 0.00009457, 0.002, (0.00009457, 0.002), True),
    (60, 71, 0.00009457, 0.002, (0.00009457, 0.002), False),
    (72, 75, 0.00009457, 0.002, FROZEN, False),
    (76, 94, 0.00002, 0.002, FROZEN, False),
]
RUN_170_256: list[Row] = [
    (0, 23, 0.02, 0.04, (0.02, 0.04), True),
    (24, 47, 0.003175, 0.04, (0.003175, 0.04), True),
    (48, 60, 0.000504, 0.004, (0.000504, 0.004), True),
    (61, 71, 0.000504, 0.004, (0.000504, 0.004), False),
    (72, 72, 0.00008, 0.004, (0.00008, 0.004), False),
    (73, 83, 0.00008, 0.004, FROZEN, False),
]
CAFFE: list[Row] = [
    (0, 19, 0.01, 0.02, (0.01, 0.02), True),
    (20, 39, 0.001, 0.002, (0.001, 0.002), True),
    (40, 59, 0.0001, 0.0002, (0.0001, 0.0002), True),
    (60, 79, 0.00001, 0.00002, (0.00001, 0.00002), True),
    (80, 89, 0.000001, 0.000002, (0.000001, 0.000002), True),
]
TABLES = {
    "alexnet-2012": RUN_2012,
    "alexnet-2010": RUN_2010,
    "alexnet-2012-continued": CONTINUED,
    "alexnet-2012-no-lrn": RUN_148,
    "alexnet-2012-pool-2-2": RUN_147,
    "alexnet-2012-apart": RUN_150,
    "alexnet-2012-half": HALF,
    "alexnet-146-2012": RUN_146,
    "alexnet-170": RUN_170,
    "alexnet-170-no-conv2-norm": RUN_167,
    "alexnet-169": RUN_169,
    "alexnet-171": RUN_171,
    "alexnet-170-256": RUN_170_256,
    "alexnet-caffe": CAFFE,
}


def schedule(name: str) -> Schedule:
    return recipes.load(name).schedule


@pytest.mark.parametrize("name", TABLES)
def test_the_table_goes_through_every_epoch_of_the_run(name: str) -> None:
    listed = [epoch for first, last, *_ in TABLES[name] for epoch in range(first, last + 1)]
    assert listed == list(range(schedule(name).epochs))


@pytest.mark.parametrize("name", TABLES)
def test_the_rates_are_those_of_the_notes(name: str) -> None:
    for first, last, weights, biases, conv1, noise in TABLES[name]:
        for epoch in range(first, last + 1):
            rates = rates_at(schedule(name), epoch)
            pair = (rates.of("fc7", "weights"), rates.of("fc7", "biases"))
            assert pair == pytest.approx((weights, biases), rel=1e-3), epoch
            pair = (rates.of("conv1", "weights"), rates.of("conv1", "biases"))
            assert pair == pytest.approx(conv1, rel=1e-3), epoch
            assert rates.noise == noise, epoch


def test_the_parts_of_run_170_are_equal_fractions_of_each_other() -> None:
    first, second, third, fourth = (
        rates_at(schedule("alexnet-170"), epoch).weights for epoch in (0, 24, 48, 94)
    )
    assert [first, fourth] == pytest.approx([0.01, 0.00004], rel=1e-12)
    assert second / first == pytest.approx(250 ** (-1 / 3), rel=1e-12)
    assert third / second == pytest.approx(250 ** (-1 / 3), rel=1e-12)


def test_the_doubled_rates_are_twice_those_of_run_170_at_each_epoch() -> None:
    single, double = schedule("alexnet-170"), schedule("alexnet-170-256")
    for epoch in range(double.epochs):
        ours, theirs = rates_at(double, epoch), rates_at(single, epoch)
        assert ours.weights == pytest.approx(2 * theirs.weights)
        assert ours.biases == pytest.approx(2 * theirs.biases)


@pytest.mark.parametrize("name", ["cifar10-13pct", "cifar10-11pct"])
def test_the_rate_of_biases_stays_in_the_nets_with_local_layers(name: str) -> None:
    seen = [rates_at(schedule(name), epoch) for epoch in range(schedule(name).epochs)]
    assert {rates.biases for rates in seen} == {0.002}
    falls = [epoch for epoch in range(1, 520) if seen[epoch].weights < seen[epoch - 1].weights]
    assert falls == [500, 510]
    assert seen[-1].weights == pytest.approx(0.00001)


def test_the_new_last_layer_of_net_146_begins_faster() -> None:
    seen = [rates_at(schedule("alexnet-146-2012"), epoch) for epoch in range(54)]
    last = [rates.of("fc8", "weights") for rates in seen]
    assert last == pytest.approx([0.01] * 9 + [0.001] * 13 + [0.0001] * 20 + [0.00001] * 12)
    assert [rates.of("conv6", "weights") for rates in seen] == [rates.weights for rates in seen]
    assert {rates.of("conv6", "biases") for rates in seen} == {0.022}


def test_the_paper_divides_its_one_rate_by_ten_three_times() -> None:
    paper = schedule("alexnet-paper")
    seen = [rates_at(paper, epoch, [0.9] * (epoch + 1)) for epoch in range(paper.epochs)]
    falls = sorted({rates.weights for rates in seen}, reverse=True)
    assert falls == pytest.approx([0.01, 0.001, 0.0001, 0.00001], rel=1e-12)
    assert all(rates.weights == rates.biases and not rates.layers for rates in seen)


def test_the_paper_keeps_its_rate_while_the_error_falls_and_its_noise_to_the_end() -> None:
    paper = schedule("alexnet-paper")
    errors = [1 - 0.01 * epoch for epoch in range(paper.epochs)]
    last = rates_at(paper, paper.epochs - 1, errors)
    assert (last.weights, last.biases, last.noise) == (0.01, 0.01, True)
