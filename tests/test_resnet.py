"""Residual networks: published counts, torchvision's numbers, every part replaced or left out."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config.networks import ResNetModel
from alexrep.models import count, registry, resnet
from alexrep.models.resnet import Block, Residual

pytestmark = pytest.mark.usefixtures("one_thread")

FORMS = {
    "resnet18": ((2, 2, 2, 2), "basic"),
    "resnet34": ((3, 4, 6, 3), "basic"),
    "resnet50": ((3, 4, 6, 3), "bottleneck"),
    "resnet101": ((3, 4, 23, 3), "bottleneck"),
    "resnet152": ((3, 8, 36, 3), "bottleneck"),
}
OF_2015 = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
"""Trained parameters, as torchvision's documentation counts them."""
OF_2016 = {"resnet50": 25_613_800, "resnet101": 44_675_560, "resnet152": 60_380_648}
"""Parameters of Keras' ResNet50V2 and so on, running means and variances among them."""


def model(name: str = "resnet18", **fields: Any) -> ResNetModel:
    repeats, block = FORMS[name]
    return ResNetModel.model_validate(
        {"name": "resnet", "repeats": repeats, "block": block, **fields}
    )


def bare(settings: ResNetModel, num_classes: int = 1000) -> nn.Module:
    """Return the network without values."""
    with torch.device("meta"):
        return resnet.make(settings, num_classes)


def trained(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def running(network: nn.Module) -> int:
    """Count the running means and variances."""
    return sum(b.numel() for name, b in network.named_buffers() if "running" in name)


def work(network: nn.Module) -> float:
    """Return the multiply-adds of the convolutions and the last layer, in 10^9."""
    layers = count.count(network, 224).items()
    kinds = {name: type(network.get_submodule(name)) for name, _ in layers}
    adds = [cost.multiply_adds for name, cost in layers if kinds[name] in (nn.Conv2d, nn.Linear)]
    return round(sum(adds) / 1e9, 2)


@pytest.mark.parametrize("name", FORMS)
def test_the_networks_of_2015_have_the_parameters_of_torchvisions(name: str) -> None:
    assert trained(bare(model(name))) == OF_2015[name]


@pytest.mark.parametrize("name", OF_2016)
def test_the_networks_of_2016_have_those_of_keras_less_its_biases(name: str) -> None:
    repeats, network = FORMS[name][0], bare(model(name, preactivation=True))
    # Keras has biases in the first convolution, the last of each block and its projections.
    outputs = [4 * 64 << level for level in range(4)]
    biases = 64 + sum(maps * (num + 1) for maps, num in zip(outputs, repeats, strict=True))
    assert trained(network) + running(network) + biases == OF_2016[name]


@pytest.mark.parametrize("depth", [110, 164])
def test_the_networks_for_cifar_have_the_parameters_of_the_papers(depth: int) -> None:
    # He et al. 2015, table 6; of 2016 as Zagoruyko and Komodakis 2016, table 5 count.
    block, per_block = ("basic", 2) if depth == 110 else ("bottleneck", 3)
    repeats = ((depth - 2) // per_block // 3,) * 3
    fields: dict[str, Any] = {"repeats": repeats, "block": block, "width": 16, "stem": "3x3"}
    network = bare(model(**fields, preactivation=depth > 110), 10)
    assert round(trained(network) / 1e6, 1) == 1.7


def test_the_stride_of_version_1_5_costs_more_and_holds_as_much() -> None:
    networks = [bare(model("resnet50", stride_in=place)) for place in ("3x3", "1x1")]
    assert trained(networks[0]) == trained(networks[1])
    # torchvision's documentation says 4.09, the paper's table 1 says 3.8.
    assert [work(network) for network in networks] == [4.09, 3.86]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_with_torchvisions_weights_logits_and_gradients_are_its_own(name: str) -> None:
    torch.manual_seed(1)
    theirs = getattr(torchvision.models, name)(weights=None, num_classes=5).double()
    ours = registry.build(model(name), 5, seed=1).double()
    # The parts stand in the same order in both, under other names.
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images, labels = torch.randn(3, 3, 64, 64, dtype=torch.float64), torch.arange(3)
    logits = []
    for network in (ours, theirs):
        logits.append(network(images))
        torch.autograd.backward(functional.cross_entropy(logits[-1], labels))
    torch.testing.assert_close(*logits)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("preactivation", [True, False])
def test_a_block_without_weights_is_the_identity(preactivation: bool) -> None:
    block = Residual(Block(resnet.basic), 8, 8, 1, preactivation=preactivation)
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
    maps = torch.randn(2, 8, 6, 6).abs()  # of 2015 what is under 0 is cut off
    assert torch.equal(block(maps), maps)


def test_the_first_block_of_2016_is_activated_once() -> None:
    first, second = bare(model(preactivation=True)).get_submodule("layer1").children()
    assert isinstance(first.get_submodule("before"), nn.Identity)
    assert isinstance(second.get_submodule("before.norm"), nn.BatchNorm2d)
    alone = bare(model(preactivation=True, stem="none")).get_submodule("layer1.0.before")
    assert [name for name, _ in alone.named_children()] == ["norm", "relu"]


SHAPES: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"stem": "7x7"}, (2, 5)),
    ({"stem": "3x3"}, (2, 5)),
    ({"stem": "none"}, (2, 5)),
    ({"stem": "7x7", "head": False}, (2, 32, 1, 1)),
    ({"stem": "3x3", "head": False}, (2, 32, 4, 4)),
    ({"stem": "none", "head": False, "block": "bottleneck"}, (2, 128, 4, 4)),
]


@pytest.mark.parametrize(("fields", "shape"), SHAPES)
@pytest.mark.parametrize("preactivation", [True, False])
def test_stem_and_head_may_be_others_or_missing(
    fields: dict[str, Any], shape: tuple[int, ...], preactivation: bool
) -> None:
    small = {"width": 8, "repeats": (1, 2, 1), "preactivation": preactivation, **fields}
    network = registry.build(model(**small), 5, seed=1)
    assert network(torch.randn(2, 3, 16, 16)).shape == shape


def test_any_module_may_be_stem_and_head() -> None:
    class Means(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return maps.mean((2, 3))

    stem = resnet.Stem(nn.Conv2d(3, 6, 3), 6, is_activated=False)
    network = resnet.network(
        (1, 1), Block(resnet.basic), 4, preactivation=True, stem=stem, head=lambda _: Means()
    )
    assert network(torch.randn(2, 3, 10, 10)).shape == (2, 8)


def test_dropout_comes_before_the_last_layer_if_it_is_asked_for() -> None:
    names = [
        name for name, _ in bare(model(dropout_rate=0.2)).get_submodule("head").named_children()
    ]
    assert names == ["pool", "flat", "dropout", "fc"]
    assert "dropout" not in dict(bare(model()).get_submodule("head").named_children())
