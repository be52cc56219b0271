"""Batch normalisation over all ranks, its pieces, and the states of torch's generators by rank."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from alexrep.compute.batch_statistics import SynchronisedNorm, synchronise
from alexrep.compute.processes import Processes
from alexrep.compute.rank import ProcessRank
from alexrep.config import recipes
from alexrep.config.recipe import Compute, Recipe
from alexrep.errors import ConfigError
from alexrep.models import registry
from alexrep.training import generators, pieces

CPU = torch.device("cpu")
TOGETHER = "compute.batch_statistics='synchronised'"


@pytest.fixture
def net() -> nn.Sequential:
    """Return normalisations of maps and units, one of them with a plain mean of all batches."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        norms = nn.BatchNorm2d(4), nn.BatchNorm1d(5, momentum=None), nn.BatchNorm1d(2, affine=False)
        units = [nn.Linear(64, 5), norms[1], nn.Linear(5, 2), norms[2]]
        net = nn.Sequential(nn.Conv2d(3, 4, 3), norms[0], nn.Flatten(), *units).double()
        for parameter in net.parameters():
            nn.init.normal_(parameter)
    return net


def test_alone_it_is_torchs_own_normalisation(net: nn.Sequential) -> None:
    other = copy.deepcopy(net)
    synchronise(other, Processes())
    assert sum(isinstance(module, SynchronisedNorm) for module in other) == 3
    images = torch.linspace(-1, 2, 7 * 108, dtype=torch.float64).sin().view(7, 3, 6, 6)
    for network in (net, other):
        for _ in range(2):
            (network(images) * torch.arange(2)).exp().sum().backward()
    for name, parameter in net.named_parameters():
        assert torch.allclose(other.get_parameter(name).grad, parameter.grad, rtol=1e-9), name  # type: ignore[arg-type]
    state = other.state_dict()
    assert list(state) == list(net.state_dict())
    for name, tensor in net.state_dict().items():
        assert torch.allclose(state[name], tensor, rtol=1e-12), name
    assert torch.allclose(other.eval()(images), net.eval()(images), rtol=1e-9)


def test_a_rank_without_images_has_gradients_of_zero(net: nn.Sequential) -> None:
    synchronise(net, Processes())
    net(torch.zeros(0, 3, 6, 6, dtype=torch.float64)).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())


def divided(num: int, size: int, **compute: Any) -> list[list[list[int]]]:
    ranks = (Processes(ProcessRank(rank, size)) for rank in range(size))
    settings = Compute(**compute)
    return [[part.tolist() for part in pieces.of_batch(num, rank, settings)] for rank in ranks]


def test_a_batch_is_divided_into_even_pieces_none_of_them_empty() -> None:
    assert divided(7, 2, accumulate=2) == [[[0, 1], [2]], [[3, 4], [5, 6]]]
    assert divided(1, 2, accumulate=2) == [[], [[0]]]


def test_how_a_batch_is_divided_is_said() -> None:
    assert pieces.describe(1, 1, 1) == "1 image"
    assert pieces.describe(1024, 1, 1) == "1,024 images"
    assert pieces.describe(128, 2, 4) == "128 images, 64 a process, in 4 pieces"
    assert pieces.describe(128, 3, 1) == "128 images, 42 or 43 a process"


def test_with_synchronised_statistics_all_ranks_have_as_many_pieces() -> None:
    together: dict[str, Any] = {"batch_statistics": "synchronised"}
    assert divided(3, 2, accumulate=2, **together) == [[[0], []], [[1], [2]]]
    assert divided(1, 2, accumulate=2, **together) == [[[]], [[0]]]


def recipe(*settings: str) -> Recipe:
    network = ("model.name=torchvision", "model.arch=resnet18", "model.side=32")
    return recipes.load("demo", (*network, "feed.batch_size=6", *settings))


@pytest.mark.parametrize(
    ("settings", "num_train", "num_processes"),
    [
        ((), 19, 1),
        (("compute.accumulate=4",), 18, 1),
        ((), 18, 4),
        (
            (
                "feed.batch_size=3",
                "compute.accumulate=4",
                "compute.batch_statistics='synchronised'",
            ),
            18,
            2,
        ),
    ],
)
def test_a_piece_of_one_image_is_refused_before_training(
    settings: tuple[str, ...], num_train: int, num_processes: int
) -> None:
    chosen = recipe(*settings)
    network = registry.build(chosen.model, 3, seed=1)
    wanted = r"feed.batch_size: expected pieces of two images or more, .*, found one of 1 "
    with pytest.raises(ConfigError, match=wanted):
        pieces.require_enough(network, chosen, num_train, num_processes)
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize(
    ("settings", "num_train", "num_processes"),
    [
        ((), 18, 1),
        ((), 18, 3),
        (("limits.steps=3",), 19, 1),
        ((TOGETHER,), 18, 6),
        (("model.side=64",), 19, 1),  # maps of 2 x 2 pixels are four values
    ],
)
def test_pieces_of_several_values_are_enough(
    settings: tuple[str, ...], num_train: int, num_processes: int
) -> None:
    chosen = recipe(*settings)
    pieces.require_enough(registry.build(chosen.model, 3, 1), chosen, num_train, num_processes)


class Rank(Processes):
    """One of two ranks whose sums are those of its rows and the other's."""

    def __init__(self, rank: int, other: "Rank | None" = None) -> None:
        super().__init__(ProcessRank(rank, 2))
        self.other, self.parts = other, list[NDArray[Any]]()

    def gathered(self, part: NDArray[Any], rows: NDArray[np.int64], num_rows: int) -> NDArray[Any]:
        self.parts.append(part)
        others = self.other.parts[len(self.parts) - 1] if self.other else np.zeros_like(part)
        return np.concatenate([others, part] if self.rank else [part, others])


def test_each_rank_draws_its_own_numbers_and_goes_on_with_them() -> None:
    with torch.random.fork_rng():
        firsts, states = [], {}
        last = None
        for rank in (0, 1):
            generators.seed(5, rank)
            firsts.append(torch.rand(3))
            last = Rank(rank, last)
            states = generators.states_of_all(CPU, last)
        expected = torch.rand(3)
        assert not torch.equal(*firsts)
        generators.restore(states, CPU, rank=1)
        assert torch.equal(torch.rand(3), expected)
        # Rank 0's are where a single process has them, and serve ranks that have none.
        generators.restore(states, CPU, rank=2)
        torch_seeded = torch.rand(3)
        torch.manual_seed(5)
        assert torch.equal(firsts[0], torch.rand(3))
        assert torch.equal(torch_seeded, torch.rand(3))
