"""The networks by name."""

import pytest
import torch

from alexrep import recipe
from alexrep.errors import ConfigError
from alexrep.models import registry
from alexrep.settings import Model


def test_the_demo_network_runs() -> None:
    model = recipe.load("demo").model
    network = registry.build(model, 10, seed=1).eval()
    assert network(torch.zeros(2, 3, 112, 112)).shape == (2, 10)


def test_a_new_network_is_in_training_mode_and_learns() -> None:
    network = registry.build(Model(side=67, width=0.02), 10, seed=1)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"expected one of alexnet.*, found 'lenet'"):
        registry.build(Model(name="lenet"), 10, seed=1)


def test_a_side_without_room_for_the_pools_is_a_config_error() -> None:
    model = Model().model_copy(update={"side": 30})
    with pytest.raises(ConfigError, match=r"model.side: expected room .* found 30"):
        registry.build(model, 10, seed=1)


def test_a_width_without_units_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"model.width: expected a unit .* found 0.0001"):
        registry.build(Model(width=0.0001), 10, seed=1)


def test_no_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_classes: expected 1 or more, found 0"):
        registry.build(Model(), 0, seed=1)
