"""The exponential moving average of weights: by hand, swapped in and out, saved and loaded."""

import pytest
import torch
from torch import nn

from alexrep.training.ema import MovingAverage


@pytest.fixture
def net() -> nn.Linear:
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, 8.0)
    nn.init.constant_(net.bias, 0.0)
    return net


def test_the_average_is_the_rule_by_hand(net: nn.Linear) -> None:
    average = MovingAverage(net, 0.75)
    for weight, expected in ((0.0, 6.0), (4.0, 5.5)):
        nn.init.constant_(net.weight, weight)
        average.update()
        assert average.state()["weight"].item() == expected


def test_it_is_in_place_inside_the_block_only(net: nn.Linear) -> None:
    average = MovingAverage(net, 0.5)
    nn.init.constant_(net.weight, 2.0)
    average.update()
    with average.in_place():
        assert net.weight.item() == 5.0
    assert net.weight.item() == 2.0
    assert average.state()["weight"].item() == 5.0


def test_the_weights_are_back_after_an_error(net: nn.Linear) -> None:
    average = MovingAverage(net, 0.5)
    nn.init.constant_(net.weight, 2.0)
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert net.weight.item() == 2.0


def test_what_was_saved_goes_on(net: nn.Linear) -> None:
    average, other = MovingAverage(net, 0.75), MovingAverage(net, 0.75)
    nn.init.constant_(net.weight, 0.0)
    average.update()
    other.load({name: value.clone() for name, value in average.state().items()})
    for each in (average, other):
        each.update()
    assert other.state()["weight"].item() == average.state()["weight"].item() == 4.5


def test_the_average_of_another_network_is_refused(net: nn.Linear) -> None:
    with pytest.raises(ValueError, match=r"expected those of this network, found \['0.weight'"):
        MovingAverage(net, 0.5).load({"0.weight": torch.zeros(1)})


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0])
def test_a_decay_that_averages_nothing_is_refused(net: nn.Linear, decay: float) -> None:
    with pytest.raises(ValueError, match="decay: expected a number between 0 and 1"):
        MovingAverage(net, decay)


@pytest.fixture
def norm() -> nn.BatchNorm1d:
    return nn.BatchNorm1d(1)


def step(norm: nn.BatchNorm1d, average: MovingAverage, mean: float) -> None:
    norm.get_buffer("running_mean").fill_(mean)
    norm.get_buffer("num_batches_tracked").add_(1)
    average.update()


def test_running_statistics_are_averaged_and_counts_taken_over(norm: nn.BatchNorm1d) -> None:
    average = MovingAverage(norm, 0.75)
    step(norm, average, 8.0)
    assert average.state()["running_mean"].item() == 2.0
    assert average.state()["num_batches_tracked"].item() == 1
    with average.in_place():
        assert norm.get_buffer("running_mean").item() == 2.0
    assert norm.get_buffer("running_mean").item() == 8.0


def test_averages_of_before_had_no_running_statistics(norm: nn.BatchNorm1d) -> None:
    average = MovingAverage(norm, 0.75)
    norm.get_buffer("running_mean").fill_(3.0)
    average.load({"weight": torch.full((1,), 5.0), "bias": torch.zeros(1)})
    state = average.state()
    assert (state["weight"].item(), state["running_mean"].item()) == (5.0, 3.0)
    with pytest.raises(ValueError, match=r"found \['bias', 'num_batches_tracked'"):
        average.load({"weight": torch.zeros(1)})
