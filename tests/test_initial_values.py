"""Initial values drawn from a seed."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from alexrep.config.model import AlexNetModel
from alexrep.config.networks import AlexNet2014Model, MobileNetModel
from alexrep.models import initial_values, registry
from alexrep.models.initial_values import draw

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ("kaiming", "xavier", "normal", "torch")


def drawn(layer: nn.Module, kind: str, seed: int = 1) -> nn.Module:
    draw(layer, kind, seed, std=0.02)  # type: ignore[arg-type]
    return layer


@pytest.mark.parametrize(
    ("kind", "std"),
    [
        ("kaiming", math.sqrt(2 / 288)),
        ("xavier", math.sqrt(2 / (288 + 576))),
        ("normal", 0.02),
        ("torch", math.sqrt(1 / 3 / 288)),
    ],
)
def test_weights_have_the_deviation_of_the_source(kind: str, std: float) -> None:
    layer = drawn(nn.Conv2d(32, 64, 3), kind)
    error = std / layer.get_parameter("weight").numel() ** 0.5
    assert layer.get_parameter("weight").std().item() == pytest.approx(std, abs=4 * error)
    assert layer.get_parameter("weight").mean().item() == pytest.approx(0, abs=4 * error)


@pytest.mark.parametrize("kind", ["xavier", "torch"])
def test_uniform_ones_end_where_torchs_do(kind: str) -> None:
    layer = drawn(nn.Conv2d(32, 64, 3), kind).get_parameter("weight")
    bound = math.sqrt(6 / (288 + 576)) if kind == "xavier" else 1 / math.sqrt(288)
    assert bound * 0.99 < layer.abs().max() <= bound


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_by_itself_reads_and_feeds_its_own_window(kind: str) -> None:
    layer = drawn(nn.Conv2d(4096, 4096, 3, groups=4096), kind).get_parameter("weight")
    stds = {"kaiming": 2 / 9, "xavier": 2 / 18, "normal": 0.02**2, "torch": 1 / 27}
    assert layer.square().mean().item() == pytest.approx(stds[kind], rel=0.05)


def test_biases_are_zero_but_torchs_own() -> None:
    for kind in KINDS:
        bias = drawn(nn.Linear(16, 8), kind).get_parameter("bias")
        assert (bias.abs().max() > 0) == (kind == "torch")
        assert bias.abs().max() <= 0.25


def test_normalisations_start_at_rest() -> None:
    with torch.device("meta"):
        norm = nn.BatchNorm2d(4)
    norm.to_empty(device="cpu")
    drawn(norm, "kaiming")
    assert norm.running_mean is not None
    assert norm.running_var is not None
    values = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    assert [value.unique().tolist() for value in values] == [[1.0], [0.0], [0.0], [1.0]]
    assert norm.num_batches_tracked == 0


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"layers that are known here, found MultiheadAttention"):
        drawn(nn.MultiheadAttention(4, 2), "kaiming")


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides_the_bits(kind: str) -> None:
    settings = {"name": "mobilenet-v1", "width": 0.25, "initialisation": kind}
    model = MobileNetModel.model_validate(settings)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first = registry.build(model, 5, seed=1).state_dict()
    torch.set_num_threads(2)
    torch.manual_seed(7)
    same, other = (registry.build(model, 5, seed).state_dict() for seed in (1, 2))
    torch.set_num_threads(threads)
    torch.set_rng_state(before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.fc.weight"], other["head.fc.weight"])


def test_no_generator_but_its_own_is_moved() -> None:
    before = torch.get_rng_state()
    registry.build(AlexNet2014Model(width=0.02), 5, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def size(values: torch.Tensor) -> float:
    return values.square().mean().sqrt().item()


@torch.no_grad()
def test_kaiming_keeps_the_size_of_signals_through_the_layers_and_others_do_not() -> None:
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    sizes = {}
    for kind in KINDS:
        settings = {"width": 0.25, "side": 64, "conv1": (11, 2), "initialisation": kind}
        network = registry.build(AlexNet2014Model.model_validate(settings), 100, seed=1)
        sizes[kind] = size(network.eval()(images))
    # Eight layers; pools of maxima make signals larger, which is not in the papers.
    assert 1 < sizes["kaiming"] < 10
    assert sizes["normal"] < sizes["torch"] < sizes["xavier"] < sizes["kaiming"]
    assert sizes["normal"] < 0.01


@pytest.mark.parametrize("kind", ["kaiming", "xavier", "torch"])
def test_the_network_of_2012_takes_them_too(kind: str) -> None:
    model = AlexNetModel.model_validate(
        {"width": 0.05, "side": 67, "initialisation": kind, "std_factor": 2.0}
    )
    network = registry.build(model, 5, seed=1)
    weight = network.get_parameter("towers.1.fc7.weight")
    inputs = weight.shape[1]
    variance = {"kaiming": 2 / inputs, "xavier": 2 / sum(weight.shape), "torch": 1 / 3 / inputs}
    assert weight.square().mean().item() == pytest.approx(4 * variance[kind], rel=0.1)
    bias = network.get_parameter("towers.0.conv2.bias")
    assert (bias.abs().max() > 0) == (kind == "torch")
    assert initial_values.DRAWS.keys() == set(KINDS)


@pytest.mark.parametrize(("kind", "learns"), [("kaiming", True), ("torch", False)])
def test_one_tower_learns_with_kaimings_deviations_and_stands_still_with_torchs(
    kind: str, learns: bool
) -> None:
    settings = {"num_towers": 1, "width": 0.1, "side": 67, "dropout": "none"}
    model = AlexNetModel.model_validate({**settings, "initialisation": kind})
    network = registry.build(model, 4, seed=1)
    images = torch.randn(8, 3, 67, 67, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(8) % 4
    optimiser = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    for _ in range(30):
        optimiser.zero_grad()
        loss = functional.cross_entropy(network(images), labels)
        torch.autograd.backward(loss)
        optimiser.step()
    # A guess among four classes loses 1.386.
    assert loss.item() < 0.7 if learns else loss.item() > 1.38
