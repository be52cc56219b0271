"""Parameter groups: one for each module and kind; layers by full path or its last parts."""

import pytest
import torch
import torchvision
from torch import nn

from alexrep.config import recipes
from alexrep.config.optimiser import Momentum2012Rule
from alexrep.config.schedules import Change, Schedule
from alexrep.errors import ConfigError
from alexrep.training.groups import Group, layers_of, parameter_groups, require_layers

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
PATHS = [f"towers.{tower}.{layer}" for tower in (0, 1) for layer in LAYERS[:-1]] + ["fc8"]
START = Change(epoch=0, weights=0.01, biases=0.02)


def resnet(rule: Momentum2012Rule) -> list[Group]:
    """Return the parameter groups of ResNet-18, on the meta device."""
    with torch.device("meta"):
        return parameter_groups(torchvision.models.resnet18(weights=None), rule)


def decaying(groups: list[Group]) -> set[tuple[str, str]]:
    return {(group["layer"], group["kind"]) for group in groups if group["weight_decay"]}


@pytest.mark.parametrize("layers", [LAYERS, PATHS])
def test_the_layers_of_2012_are_those_of_the_network(layers: list[str]) -> None:
    require_layers(recipes.load("alexnet-2012").schedule, layers)


def test_a_layer_that_the_network_lacks_is_a_config_error() -> None:
    wrong = Schedule(epochs=90, changes=(START, Change(epoch=67, layers=("conv6",), weights=0.1)))
    message = (
        r"^schedule.changes: epoch 67: expected layers of conv1, conv2, conv3, conv4, conv5, fc6, "
        r"fc7, fc8, found 'conv6'; did you mean conv5 or conv4 or conv3\?$"
    )
    with pytest.raises(ConfigError, match=message):
        require_layers(wrong, PATHS)


def test_a_part_of_a_name_is_no_name() -> None:
    wrong = Schedule(epochs=90, changes=(START, Change(epoch=67, layers=("v1",), weights=0.1)))
    with pytest.raises(ConfigError, match="found 'v1'"):
        require_layers(wrong, PATHS)


def test_every_module_of_resnet_18_has_groups_of_its_own() -> None:
    groups = resnet(Momentum2012Rule())
    assert len(groups) == sum(len(group["params"]) for group in groups) == 62
    assert len(layers_of(groups)) == 41
    assert {"conv1", "layer1.0.conv1", "layer2.0.downsample.0"} <= set(layers_of(groups))


def test_normalisations_and_biases_do_not_decay() -> None:
    names = decaying(resnet(Momentum2012Rule(layer_decays={"bn1": 0.1})))
    assert {kind for _, kind in names} == {"weights"}
    assert len(names) == 21
    assert not any("bn" in layer or layer.endswith("downsample.1") for layer, _ in names)


def test_fields_let_them_decay() -> None:
    norms = decaying(resnet(Momentum2012Rule(decay_norms=True)))
    assert {kind for _, kind in norms} == {"weights"}
    assert len(norms) == 41
    assert len(decaying(resnet(Momentum2012Rule(decay_biases=True)))) == 22
    assert len(decaying(resnet(Momentum2012Rule(decay_norms=True, decay_biases=True)))) == 62


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.InstanceNorm2d(4, affine=True)],
)
def test_every_normalisation_is_known(norm: nn.Module) -> None:
    assert decaying(parameter_groups(nn.Sequential(norm), Momentum2012Rule())) == set()


def test_the_short_names_of_numbered_layers_have_the_name_before_the_number() -> None:
    message = r"expected layers of conv1, bn1, conv2, bn2, downsample\.0, downsample\.1, fc, found"
    with pytest.raises(ConfigError, match=message):
        resnet(Momentum2012Rule(layer_decays={"stem": 0.1}))


def test_parameters_of_the_network_itself_and_of_other_names_have_groups_too() -> None:
    network = nn.MultiheadAttention(4, 2)
    network.register_parameter("scale", nn.Parameter(torch.ones(1)))
    by_key = {(g["layer"], g["kind"]): g for g in parameter_groups(network, Momentum2012Rule())}
    assert {key: len(group["params"]) for key, group in by_key.items()} == {
        ("", "weights"): 2,
        ("", "biases"): 1,
        ("out_proj", "weights"): 1,
        ("out_proj", "biases"): 1,
    }
