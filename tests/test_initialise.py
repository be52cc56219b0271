"""The initial values of 2012."""

import pytest
import torch
from torch import Tensor

from alexrep.config.model import AlexNetModel
from alexrep.models.alexnet import network as alexnet
from alexrep.models.alexnet.initialise import standard_deviation

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
SMALL = AlexNetModel(side=67, width=0.1)


@pytest.mark.parametrize(
    ("initialisation", "expected"),
    [
        ("code", [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01]),
        ("paper", [0.01] * 8),
        ("caffe", [0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01]),
    ],
)
def test_standard_deviations_are_those_of_the_source_the_paper_and_caffe(
    initialisation: str, expected: list[float]
) -> None:
    model = SMALL.model_copy(update={"initialisation": initialisation, "std_factor": 1.0})
    assert [standard_deviation(layer, model) for layer in LAYERS] == expected


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_weights_have_mean_zero_and_the_standard_deviation_of_their_layer(factor: float) -> None:
    model = SMALL.model_copy(update={"width": 0.25, "std_factor": factor})
    for name, value in alexnet.build(model, 10, seed=1).named_parameters():
        layer, kind = name.split(".")[-2:]
        if kind == "weight":
            std = factor * (0.03 if layer in ("conv3", "conv4", "conv5") else 0.01)
            error = std / value.numel() ** 0.5
            assert value.mean().item() == pytest.approx(0, abs=4 * error)
            assert value.std().item() == pytest.approx(std, abs=4 * error)


def test_weights_are_gaussian_and_not_truncated() -> None:
    values = alexnet.build(AlexNetModel(side=67), 10, seed=1).get_parameter("towers.0.fc7.weight")
    share = (values.abs() > 0.02).double().mean().item()
    assert share == pytest.approx(0.0455, abs=0.001)
    assert values.abs().max() > 0.045


@pytest.mark.parametrize(("initialisation", "high"), [("code", 1), ("paper", 1), ("caffe", 0.1)])
def test_biases_are_one_or_a_tenth_in_five_layers_and_zero_in_three(
    initialisation: str, high: float
) -> None:
    model = SMALL.model_copy(update={"initialisation": initialisation})
    network = alexnet.build(model, 10, seed=1)
    highs = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    for name, value in network.named_parameters():
        layer, kind = name.split(".")[-2:]
        if kind == "bias":
            expected = torch.full_like(value, high if layer in highs else 0.0)
            assert torch.equal(value, expected)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, same, other = (alexnet.build(SMALL, 10, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    weights = [name for name in first if name.endswith("weight")]
    assert not any(torch.equal(first[name], other[name]) for name in weights)


def test_the_two_towers_start_apart() -> None:
    network = alexnet.build(SMALL, 10, seed=1)
    first, second = (network.get_parameter(f"towers.{k}.conv1.weight") for k in (0, 1))
    assert not torch.equal(first, second)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    alexnet.build(SMALL, 10, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


# Standard deviations and colour axes shipped with the 2014 code, in grey levels.
COLOUR_STDS = (19.7208, 37.0939, 121.7801)
COLOUR_AXES = (
    (0.41796, -0.81698, 0.39731),
    (-0.71258, -0.02354, 0.70120),
    (-0.56351, -0.57618, -0.59200),
)


def scenes(num_images: int) -> Tensor:
    """Draw images with the statistics of natural ones: 1/f amplitudes, correlated colours."""
    generator = torch.Generator().manual_seed(1)
    across = torch.fft.fftfreq(224, dtype=torch.float64)
    frequency = (across[:, None].square() + across.square()).sqrt()
    frequency[0, 0] = 1 / 224
    noise = torch.randn(num_images, 3, 224, 224, generator=generator, dtype=torch.float64)
    fields = torch.fft.ifft2(torch.fft.fft2(noise) / frequency).real
    fields /= fields.square().mean().sqrt()
    mixing = torch.tensor(COLOUR_STDS)[:, None] * torch.tensor(COLOUR_AXES)
    return torch.einsum("nkhw,kc->nchw", fields.float(), mixing)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("initialisation", "expected"),
    [
        # The sheet of the 2012 network, section 5: deviation and loss at each division.
        ("code", {1: (0.040, 7.04), 58: (0.0017, 6.94)}),
        ("paper", {1: (0.0033, 7.03), 58: (0.0001, 7.03)}),
        ("caffe", {1: (0.0005, 6.91)}),
    ],
)
def test_as_much_of_the_picture_reaches_the_logits_as_in_the_sheet(
    initialisation: str, expected: dict[int, tuple[float, float]]
) -> None:
    model = AlexNetModel.model_validate({"initialisation": initialisation})
    network, images = alexnet.build(model, 1000, seed=1).eval(), scenes(16)
    for division, (deviation, loss) in expected.items():
        with torch.no_grad():
            logits = network(images / division)
        measured = logits.std(0).square().mean().sqrt().item()
        # The expected loss of a uniformly drawn label.
        measured_loss = (logits.logsumexp(1) - logits.mean(1)).mean().item()
        print(
            f"\n{initialisation}, input / {division}: {measured:.5f}, loss {measured_loss:.3f}",
            end="",
        )
        assert measured == pytest.approx(deviation, rel=0.3)
        assert measured_loss == pytest.approx(loss, abs=0.08)
