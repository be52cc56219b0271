"""MobileNet of 2017, and AlexNet of 2014: published counts, layers, widths."""

import pytest
import torch
import torchvision
from torch import nn

from alexrep.config.networks import AlexNet2014Model, MobileNetModel
from alexrep.errors import ConfigError
from alexrep.models import count, mobilenet
from alexrep.models.alexnet import network_2014


def mobilenet_of(**fields: object) -> nn.Module:
    settings = MobileNetModel.model_validate({"name": "mobilenet-v1", **fields})
    with torch.device("meta"):
        return mobilenet.make(settings, 1000)


def alexnet_of(**fields: object) -> nn.Module:
    with torch.device("meta"):
        return network_2014.make(AlexNet2014Model.model_validate(fields), 1000)


def trained(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_mobilenet_has_the_parameters_and_the_work_of_the_paper() -> None:
    network = mobilenet_of()
    # TF-slim's table has 4.24 million and 569 million multiply-adds; Keras' 4,253,864 are these
    # with the running means and variances.
    assert trained(network) == 4_231_976
    statistics = sum(b.numel() for n, b in network.named_buffers() if "running" in n)
    assert trained(network) + statistics == 4_253_864
    costs = count.count(network, 224).items()
    work = sum(cost.multiply_adds for name, cost in costs if not name.endswith("norm"))
    assert round(work / 1e6) == 569


@pytest.mark.parametrize(("width", "millions"), [(0.75, 2.6), (0.5, 1.3), (0.25, 0.5)])
def test_narrower_ones_have_the_parameters_of_the_papers_table_6(
    width: float, millions: float
) -> None:
    assert round(trained(mobilenet_of(width=width)) / 1e6, 1) == millions


def test_alexnet_of_2014_is_torchvisions_with_384_kernels_in_the_fourth_layer() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.alexnet(weights=None)
    assert trained(alexnet_of()) == 61_838_248 == trained(theirs) + 737_408
    tables = [count.layers(network, 224) for network in (alexnet_of(), theirs)]
    shapes = [[row.shape for row in rows if row.cost.parameters] for rows in tables]
    assert [shape for shape, other in zip(*shapes, strict=True) if shape != other] == [
        (384, 13, 13)
    ]


def test_alexnet_of_2014_takes_small_images_at_a_smaller_stride() -> None:
    rows = count.layers(alexnet_of(side=64, conv1=(11, 2)), 64)
    assert [row.shape[1] for row in rows if row.name.startswith("conv")] == [29, 14, 6, 6, 6]


def test_a_patch_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"model.side: expected one that leaves .* found 48; take"
    ):
        alexnet_of(side=48)
