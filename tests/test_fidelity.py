"""Numbers of the 2012 network's sheet (docs) that belong to no single module."""

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config.model import AlexNetModel
from alexrep.config.optimiser import Momentum2012Rule
from alexrep.feed import order
from alexrep.models.alexnet import network as alexnet
from alexrep.models.alexnet.network import AlexNet
from alexrep.models.dropout import keys, set_keys
from alexrep.models.normalisation import normalise_across_maps
from alexrep.training import optimiser as optimisers

# Shipped with the 2014 code of the paper's author: section 3.
STDS = np.array([19.7208, 37.0939, 121.7801])
AXES = np.array(
    [[0.41796, -0.71258, -0.56351], [-0.81698, -0.02354, -0.57618], [0.39731, 0.70120, -0.59200]]
)


def test_the_shipped_numbers_are_standard_deviations_of_grey_levels() -> None:
    as_deviations, as_variances = (AXES @ np.diag(scales) @ AXES.T for scales in (STDS**2, STDS))
    assert np.sqrt(np.diag(as_deviations)).round(1).tolist() == [74.0, 72.0, 77.0]
    assert np.sqrt(np.diag(as_variances)).round(1).tolist() == [7.8, 7.3, 8.0]
    assert np.allclose(AXES.T @ AXES, np.eye(3), atol=2e-5)


def test_the_noise_is_12_grey_levels_where_the_papers_letter_has_1483() -> None:
    assert (0.1 * STDS).round(2).tolist() == [1.97, 3.71, 12.18]
    assert (0.1 * STDS**2).round().tolist() == [39, 138, 1483]


def test_torchvisions_and_an_ungrouped_network_have_other_parameters() -> None:
    shapes = [(3, 96, 11), (96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3)]
    units = [(9216, 4096), (4096, 4096), (4096, 1000)]
    with torch.device("meta"):
        peer = torchvision.models.alexnet(weights=None)
        ungrouped = nn.Sequential(
            *(nn.Conv2d(*shape) for shape in shapes), *(nn.Linear(*two) for two in units)
        )
    counts = [sum(parameter.numel() for parameter in net.parameters()) for net in (peer, ungrouped)]
    assert counts == [61_100_840, 62_378_344]


@pytest.mark.parametrize(("num", "changed"), [(96, range(46, 50)), (256, range(126, 130))])
def test_a_joint_normalisation_changes_four_maps(num: int, changed: range) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = 60 * torch.randn(1, num, 2, 2, generator=generator, dtype=torch.float64)
    apart = torch.cat([normalise_across_maps(half) for half in maps.chunk(2, 1)], 1)
    differs = (normalise_across_maps(maps) != apart).any(0).any(1).any(1)
    assert differs.nonzero().flatten().tolist() == list(changed)


@pytest.mark.parametrize(("level", "factor"), [(0.01, 1.68), (100.0, 1.355)])
def test_a_base_of_one_leaves_more_of_the_maps(level: float, factor: float) -> None:
    maps = torch.full((1, 9, 1, 1), level, dtype=torch.float64)
    ratio = normalise_across_maps(maps, base=1.0) / normalise_across_maps(maps)
    assert ratio[0, 4].item() == pytest.approx(factor, abs=0.002)


def test_the_last_batch_of_an_epoch_of_2012_has_15_images() -> None:
    batches = order.batches(np.arange(1_281_167), 128)
    assert (len(batches), len(batches[0]), len(batches[-1])) == (10_010, 128, 15)


def walk(network: AlexNet, factor: float) -> dict[str, Tensor]:
    """Train some steps; fc7 and fc8 at `factor` times the rate, with their decay divided by it."""
    dropped = ("fc7", "fc8")
    decays = dict.fromkeys(dropped, 0.0005 / factor)
    optimiser = optimisers.build(Momentum2012Rule(layer_decays=decays), network)
    for group in optimiser.param_groups:
        is_dropped = group["layer"].endswith(dropped) and group["kind"] == "weights"
        group["rate"] = 0.01 * (factor if is_dropped else 1)
    images = 70 * torch.randn(6, 3, 67, 67, generator=torch.Generator().manual_seed(0)).double()
    for step in range(4):
        set_keys(network, keys(1, step, np.arange(6)))
        network.zero_grad()
        loss = functional.cross_entropy(network(images), torch.arange(6) % 3)
        torch.autograd.backward(loss)
        optimiser.step()
    return {name: value.detach() for name, value in network.named_parameters()}


def test_inverted_dropout_is_the_same_training_at_a_quarter_of_the_rate() -> None:
    small = {"side": 67, "width": 0.05, "std_factor": 4.5}
    mask, inverted = (
        alexnet.build(AlexNetModel.model_validate(small | {"dropout": kind}), 3, seed=1).double()
        for kind in ("mask", "inverted")
    )
    halved = [
        name for name, _ in mask.named_parameters() if name.endswith(("7.weight", "8.weight"))
    ]
    with torch.no_grad():
        for name in halved:
            inverted.get_parameter(name).mul_(0.5)
    expected, weights = walk(mask, 1), walk(inverted, 1 / 4)
    for name, value in expected.items():
        scale = 2 if name in halved else 1
        torch.testing.assert_close(weights[name] * scale, value, rtol=1e-9, atol=1e-12)
    assert len(halved) == 3
