"""The order of the layers, and what each reads."""

import pytest

from alexrep.config.model import AlexNetModel
from alexrep.models.alexnet.layers import layers

NET_145 = (
    "conv1 norm1 pool1 neuron_conv1 conv2 neuron_conv2 norm2 within2 pool2 "
    "conv3 neuron_conv3 conv4 neuron_conv4 conv5 pool5 neuron_conv5 "
    "flatten6 fc6 neuron_fc6 dropout_fc6 fc7 neuron_fc7 dropout_fc7"
)


def names(model: AlexNetModel) -> str:
    return " ".join(layer.name for layer in layers(model))


def reading(model: AlexNetModel, reads: str) -> list[str]:
    return [layer.name for layer in layers(model) if layer.reads == reads]


def test_the_order_is_that_of_net_145() -> None:
    assert names(AlexNetModel()) == NET_145


def test_the_order_of_the_paper_has_the_neuron_first() -> None:
    assert names(AlexNetModel(conv1_order="relu-lrn-pool")).startswith(
        "conv1 neuron_conv1 norm1 pool1 conv2 "
    )


def test_conv3_fc6_and_fc7_read_both_towers() -> None:
    assert reading(AlexNetModel(), "both") == ["conv3", "fc6", "fc7"]
    assert reading(AlexNetModel(), "edges") == []


def test_a_joint_normalisation_reads_the_edge_of_the_other_tower() -> None:
    assert reading(AlexNetModel(norm_scope="joint"), "edges") == ["norm1", "norm2"]


@pytest.mark.parametrize(
    ("without", "crossings"),
    [
        (("conv3",), ["conv4", "fc6", "fc7"]),
        (("conv3", "conv4"), ["conv5", "fc6", "fc7"]),
        (("conv3", "conv4", "conv5"), ["fc6", "fc7"]),
        (("conv4",), ["conv3", "fc6", "fc7"]),
        (("conv5",), ["conv3", "fc6", "fc7"]),
        (("fc6",), ["conv3", "fc7"]),
        (("fc7",), ["conv3", "fc6"]),
    ],
)
def test_the_layer_after_a_missing_one_reads_what_it_would_have_read(
    without: tuple[str, ...], crossings: list[str]
) -> None:
    model = AlexNetModel.model_validate({"without": without})
    assert reading(model, "both") == crossings


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ({"norm": "none"}, "norm1 norm2 within2"),
        ({"conv2_norm": False}, "norm2"),
        ({"conv2_within_map": False}, "within2"),
        ({"dropout": "none"}, "dropout_fc6 dropout_fc7"),
        ({"without": ("conv5",)}, "conv5 neuron_conv5"),
        ({"without": ("conv4", "fc7")}, "conv4 neuron_conv4 fc7 neuron_fc7 dropout_fc7"),
    ],
)
def test_switches_leave_out_their_layers_and_no_other(fields: dict[str, object], gone: str) -> None:
    kept = [name for name in NET_145.split() if name not in gone.split()]
    assert names(AlexNetModel.model_validate(fields)).split() == kept
