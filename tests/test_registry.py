"""The networks by name."""

import pytest
import torch

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel, Model
from alexrep.errors import ConfigError
from alexrep.models import registry
from alexrep.models.alexnet.network import Form

FORMS: tuple[Form, ...] = ("towers", "joined")


def test_the_demo_network_runs() -> None:
    model = recipes.load("demo").model
    network = registry.build(model, 10, seed=1).eval()
    assert network(torch.zeros(2, 3, 112, 112)).shape == (2, 10)


def test_a_new_network_is_in_training_mode_and_learns() -> None:
    network = registry.build(AlexNetModel(side=67, width=0.02), 10, seed=1)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"expected one of alexnet.*, found 'lenet'"):
        registry.build(Model(name="lenet"), 10, seed=1)


def test_a_side_that_leaves_windows_unfilled_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"model.side: expected 67 or more, found 66; take"):
        registry.build(AlexNetModel(side=66), 10, seed=1)


def test_a_width_without_units_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"model.width: expected a unit .* found 0.0001"):
        registry.build(AlexNetModel(width=0.0001), 10, seed=1)


def test_no_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_classes: expected 1 or more, found 0"):
        registry.build(AlexNetModel(), 0, seed=1)


def test_both_forms_have_the_same_parameters() -> None:
    model = AlexNetModel(side=67, width=0.02)
    towers, joined = (registry.build(model, 10, seed=1, form=form).state_dict() for form in FORMS)
    assert list(towers) == list(joined)
    assert all(torch.equal(towers[name], joined[name]) for name in towers)
