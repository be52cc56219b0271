"""Schedules against the layers of a network."""

import pytest

from alexrep.config import recipes
from alexrep.config.schedules import Change, Schedule
from alexrep.errors import ConfigError
from alexrep.training.groups import require_layers

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
START = Change(epoch=0, weights=0.01, biases=0.02)


def test_the_layers_of_2012_are_those_of_the_network() -> None:
    require_layers(recipes.load("alexnet-2012").schedule, LAYERS)


def test_a_layer_that_the_network_lacks_is_a_config_error() -> None:
    wrong = Schedule(epochs=90, changes=(START, Change(epoch=67, layers=("conv6",), weights=0.1)))
    with pytest.raises(ConfigError, match=r"epoch 67: expected layers of conv1.* found 'conv6'"):
        require_layers(wrong, LAYERS)
