"""Parameters and multiply-adds, against the sheet of the 2012 network."""

from collections import OrderedDict

import pytest
import torch
from recipes import alexnet_of
from torch import nn

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel
from alexrep.models import registry
from alexrep.models.alexnet.network import AlexNet, Form
from alexrep.models.cifar.locally_connected import LocallyConnected2d
from alexrep.models.count import Cost, count, layers, total
from alexrep.models.layer_table import text
from alexrep.models.without_values import WithoutValues

SHEET = {
    "conv1": Cost(34_848, 96, 105_415_200),
    "conv2": Cost(307_200, 256, 223_948_800),
    "conv3": Cost(884_736, 384, 149_520_384),
    "conv4": Cost(663_552, 384, 112_140_288),
    "conv5": Cost(442_368, 256, 74_760_192),
    "fc6": Cost(37_748_736, 4_096, 37_748_736),
    "fc7": Cost(16_777_216, 4_096, 16_777_216),
    "fc8": Cost(4_096_000, 1_000, 4_096_000),
}


def full() -> AlexNet:
    """Return the network of the paper on the meta device."""
    with torch.device("meta"):
        return AlexNet(AlexNetModel(), 1000)


def test_every_layer_costs_what_the_sheet_says() -> None:
    assert count(full(), 224) == SHEET


def test_the_network_has_60_965_224_parameters() -> None:
    everything = total(count(full(), 224))
    assert everything.weights == 60_954_656
    assert everything.biases == 10_568
    assert everything.parameters == sum(p.numel() for p in full().parameters()) == 60_965_224


def test_an_image_costs_724_406_816_multiply_adds() -> None:
    costs = count(full(), 224)
    assert total(costs).multiply_adds == 724_406_816
    convolutions = {name: cost for name, cost in costs.items() if name.startswith("conv")}
    assert total(convolutions).multiply_adds == 665_784_864


def test_a_layer_without_bias_has_none() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False))
    assert count(network, 2) == {"1": Cost(60, 0, 60)}


def test_counting_leaves_values_modes_and_hooks_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout().eval())
    count(network, 5)
    assert [module.training for module in network] == [True, False]
    assert network[0].weight.device.type == "cpu"
    assert not network[0]._forward_hooks


def test_a_locally_connected_layer_uses_each_weight_once() -> None:
    network = nn.Sequential(LocallyConnected2d(3, 5, 4))
    assert count(network, 4) == {"0": Cost(16 * 27 * 5, 80, 16 * 27 * 5)}


def test_any_module_with_parameters_is_a_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    rows = layers(network, 5)
    assert [row.name for row in rows] == ["0", "1"]
    assert rows[1].cost == Cost(4, 4, 0, fixed=8)


def test_a_layer_that_is_used_twice_has_its_parameters_once() -> None:
    shared = nn.Conv2d(3, 3, 3, padding=1)
    (row,) = layers(nn.Sequential(shared, shared), 4)
    assert (row.shape, row.cost) == ((3, 4, 4), Cost(81, 3, 2 * 81 * 16))


def test_the_layers_are_listed_with_norms_and_pools() -> None:
    rows = layers(full(), 224)
    names = [row.name for row in rows]
    assert names == list(full().names)
    shapes = {row.name: row.shape for row in rows}
    assert shapes["norm1"] == (96, 55, 55)
    assert (shapes["pool5"], shapes["fc6"], shapes["fc8"]) == ((256, 6, 6), (4096,), (1000,))


def test_an_activation_takes_four_bytes_a_value() -> None:
    rows = {row.name: row for row in layers(full(), 224)}
    assert rows["conv1"].activation_bytes == 4 * 290_400
    units = [rows[name].activation_bytes // 4 for name in SHEET]
    assert sum(units) == 659_272


@pytest.mark.parametrize("form", ["towers", "joined"])
def test_both_forms_of_a_network_have_the_same_layers(form: Form) -> None:
    model = AlexNetModel(side=67, width=0.05)
    network = registry.build(model, 3, seed=1, form=form)
    assert total(count(network, 67)).parameters == sum(p.numel() for p in network.parameters())
    assert isinstance(network, AlexNet)
    assert network.form == form


def test_a_tower_alone_has_16_630_440_parameters() -> None:
    with torch.device("meta"):
        half = AlexNet(AlexNetModel(num_towers=1), 1000)
    assert total(count(half, 224)).parameters == 16_630_440


def test_the_one_tower_of_the_paper_has_about_as_many_parameters_as_two() -> None:
    with torch.device("meta"):
        network = AlexNet(alexnet_of("alexnet-2012-half"), 1000)
    convolutions = 17_472 + 153_728 + 221_376 + 331_968 + 442_624
    units = 37_752_832 + 16_781_312 + 4_097_000
    assert total(count(network, 224)).parameters == convolutions + units == 59_798_312


@pytest.mark.parametrize("name", recipes.names())
def test_the_table_of_every_recipe_holds_all_its_parameters(name: str) -> None:
    model = recipes.load(name).model
    with WithoutValues():
        network = registry.build(model, 10, seed=1)
    num_parameters = total(count(network, model.side)).parameters
    assert num_parameters == sum(p.numel() for p in network.parameters())


def test_long_names_keep_the_columns_apart() -> None:
    network = nn.Sequential(
        OrderedDict(a_layer_of_a_long_name=nn.Conv2d(3, 1, 1), pool=nn.Flatten())
    )
    lines = text(layers(network, 8)).splitlines()
    assert lines[1].startswith("a_layer_of_a_long_name 1 x 8 x 8 ")
    assert len({len(line) for line in lines}) == 1


def test_a_normalisation_over_both_towers_returns_their_own_maps() -> None:
    with torch.device("meta"):
        network = AlexNet(alexnet_of("alexnet-caffe"), 1000)
    shapes = {row.name: row.shape for row in layers(network, 227)}
    assert (shapes["norm1"], shapes["norm2"]) == ((96, 55, 55), (256, 27, 27))
