"""Parameters and multiply-adds, against the sheet of the 2012 network."""

import torch
from torch import nn

from alexrep.models.alexnet import AlexNet
from alexrep.models.count import Cost, count, total
from alexrep.models.local import LocallyConnected2d
from alexrep.settings import Model

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
    """Return the network of the paper without values."""
    with torch.device("meta"):
        return AlexNet(Model(), 1000)


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
