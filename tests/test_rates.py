"""The rates by epoch, against the hand schedule of 2012."""

import pytest

from alexrep.config import recipes
from alexrep.config.rates import Rates, is_named, rates_at
from alexrep.config.schedules import Change, Schedule


def schedule(*changes: Change) -> Schedule:
    """Return a schedule that starts at 0.01 and 0.02."""
    return Schedule(epochs=100, changes=(Change(epoch=0, weights=0.01, biases=0.02), *changes))


@pytest.mark.parametrize(
    ("epochs", "weights", "conv1", "noise"),
    [
        ((0, 24), 0.01, (0.01, 0.02), True),
        ((25, 50), 0.001, (0.001, 0.02), True),
        ((51, 66), 0.0001, (0.0001, 0.02), True),
        ((67, 71), 0.0001, (1e-5, 0.02), False),
        ((72, 78), 0.0001, (0.0, 0.0), False),
        ((79, 90), 1e-5, (0.0, 0.0), False),
    ],
)
def test_the_hand_schedule_of_2012(
    epochs: tuple[int, int], weights: float, conv1: tuple[float, float], noise: bool
) -> None:
    hand = recipes.load("alexnet-2012").schedule
    for epoch in epochs:
        rates = rates_at(hand, epoch)
        assert (rates.weights, rates.biases, rates.noise) == (weights, 0.02, noise)
        assert (rates.of("conv1", "weights"), rates.of("conv1", "biases")) == conv1
        assert (rates.of("fc8", "weights"), rates.of("fc8", "biases")) == (weights, 0.02)


def test_a_layer_with_rates_of_its_own_keeps_them() -> None:
    own = Change(epoch=5, layers=("conv1", "conv2"), weights=0.5)
    rates = rates_at(schedule(own, Change(epoch=9, weights=0.1, biases=0.2)), 9)
    assert rates.layers == {"conv1": (0.5, 0.02), "conv2": (0.5, 0.02)}
    assert rates.of("conv3", "biases") == 0.2


def test_layers_may_get_rates_of_their_own_one_after_another() -> None:
    first = Change(epoch=5, layers=("conv1",), weights=0.5, biases=0.6)
    rates = rates_at(schedule(first, Change(epoch=9, layers=("conv2",), weights=0.0)), 9)
    assert rates.layers == {"conv1": (0.5, 0.6), "conv2": (0.0, 0.02)}


def test_a_layer_change_may_switch_the_noise() -> None:
    change = Change(epoch=5, layers=("conv1",), weights=0.5, noise=False)
    assert rates_at(schedule(change), 4).noise
    assert not rates_at(schedule(change), 5).noise


def test_later_changes_of_the_same_epoch_win() -> None:
    changes = (Change(epoch=5, weights=0.3), Change(epoch=5, weights=0.2))
    assert rates_at(schedule(*changes), 5).weights == 0.2


def test_the_table_has_every_layer_and_kind() -> None:
    rates = Rates(weights=0.1, biases=0.2, noise=True, layers={"fc8": (0.3, 0.4)})
    assert rates.table(["fc7", "fc8"]) == {
        ("fc7", "weights"): 0.1,
        ("fc7", "biases"): 0.2,
        ("fc8", "weights"): 0.3,
        ("fc8", "biases"): 0.4,
    }


def test_another_kind_of_parameter_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected 'weights' or 'biases', found 'weight'"):
        Rates(0.1, 0.2, True).of("fc8", "weight")


def test_an_epoch_before_the_first_is_an_error() -> None:
    with pytest.raises(ValueError, match="epoch: expected 0 or more, found -1"):
        rates_at(schedule(), -1)


@pytest.mark.parametrize(
    ("name", "layer", "is_meant"),
    [
        ("conv1", "towers.0.conv1", True),
        ("0.conv1", "towers.0.conv1", True),
        ("towers.0.conv1", "towers.0.conv1", True),
        ("towers.1.conv1", "towers.0.conv1", False),
        ("onv1", "conv1", False),
        ("conv1.towers", "conv1", False),
    ],
)
def test_a_layer_is_named_by_its_path_or_its_last_parts(
    name: str, layer: str, is_meant: bool
) -> None:
    assert is_named(name, layer) == is_meant


def test_one_name_means_the_layers_of_both_towers() -> None:
    rates = rates_at(schedule(Change(epoch=5, layers=("conv1",), weights=0.5)), 5)
    assert rates.table(["towers.0.conv1", "towers.1.conv1", "fc8"]) == {
        ("towers.0.conv1", "weights"): 0.5,
        ("towers.0.conv1", "biases"): 0.02,
        ("towers.1.conv1", "weights"): 0.5,
        ("towers.1.conv1", "biases"): 0.02,
        ("fc8", "weights"): 0.01,
        ("fc8", "biases"): 0.02,
    }


def test_a_longer_name_is_the_more_exact_one_and_a_shorter_one_means_it_too() -> None:
    both = Change(epoch=1, layers=("conv1",), weights=0.5)
    change = Change(epoch=2, layers=("1.conv1",), biases=0.6)
    again = Change(epoch=3, layers=("conv1",), weights=0.7)
    rates = rates_at(schedule(both, change, again), 2)
    assert (rates.of("0.conv1", "biases"), rates.of("1.conv1", "biases")) == (0.02, 0.6)
    assert (rates.of("0.conv1", "weights"), rates.of("1.conv1", "weights")) == (0.5, 0.5)
    rates = rates_at(schedule(both, change, again), 3)
    assert (rates.of("0.conv1", "weights"), rates.of("1.conv1", "weights")) == (0.7, 0.7)
    assert (rates.of("0.conv1", "biases"), rates.of("1.conv1", "biases")) == (0.02, 0.6)
