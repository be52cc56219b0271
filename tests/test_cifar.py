"""The CIFAR-10 nets: layer sizes by hand, pools and norms by loops, recipes by their numbers."""

from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from alexrep.config import recipes
from alexrep.config.rates import rates_at
from alexrep.errors import ConfigError
from alexrep.models import registry
from alexrep.models.cifar import layers as cifar_layers
from alexrep.models.cifar import network as cifar
from alexrep.models.cifar.network import CifarNet
from alexrep.models.count import Cost, count, total

RECIPES = [*cifar_layers.NETS, "cifar10-figure1"]
MAC1_32, MAC1_64 = 32 * 32 * 75 * 32, 32 * 32 * 75 * 64
COSTS = {
    "cifar10-80sec": {
        "conv1": Cost(75 * 32, 32, MAC1_32),
        "conv2": Cost(800 * 32, 32, 16 * 16 * 800 * 32),
        "conv3": Cost(800 * 64, 64, 8 * 8 * 800 * 64),
        "fc4": Cost(1024 * 64, 64, 1024 * 64),
        "fc5": Cost(640, 10, 640),
    },
    "cifar10-18pct": {
        "conv1": Cost(75 * 32, 32, MAC1_32),
        "conv2": Cost(800 * 32, 32, 16 * 16 * 800 * 32),
        "conv3": Cost(800 * 64, 64, 8 * 8 * 800 * 64),
        "fc4": Cost(10240, 10, 10240),
    },
    "cifar10-13pct": {
        "conv1": Cost(75 * 64, 64, MAC1_64),
        "conv2": Cost(1600 * 64, 64, 16 * 16 * 1600 * 64),
        "local3": Cost(64 * 576 * 32, 64 * 32, 64 * 576 * 32),
        "local4": Cost(64 * 288 * 32, 64 * 32, 64 * 288 * 32),
        "fc5": Cost(20480, 10, 20480),
    },
    "cifar10-11pct": {
        "conv1": Cost(75 * 64, 64, 24 * 24 * 75 * 64),
        "conv2": Cost(1600 * 64, 64, 12 * 12 * 1600 * 64),
        "local3": Cost(36 * 576 * 64, 36 * 64, 36 * 576 * 64),
        "local4": Cost(36 * 576 * 32, 36 * 32, 36 * 576 * 32),
        "fc5": Cost(11520, 10, 11520),
    },
}
PARTS = {
    "cifar10-80sec": "conv1 pool1 relu1 conv2 relu2 pool2 conv3 relu3 pool3 flat fc4 relu4 fc5",
    "cifar10-18pct": "conv1 pool1 relu1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 pool3 flat fc4",
    "cifar10-13pct": "conv1 pool1 relu1 conv2 pool2 relu2 local3 relu3 local4 relu4 flat fc5",
    "cifar10-11pct": (
        "conv1 pool1 relu1 norm1 conv2 relu2 norm2 pool2 local3 relu3 local4 relu4 flat fc5"
    ),
}
STDS = {
    "cifar10-80sec": {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc4": 0.1, "fc5": 0.1},
    "cifar10-18pct": {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc4": 0.01},
    "cifar10-13pct": {"conv1": 1e-4, "conv2": 0.01, "local3": 0.04, "local4": 0.04, "fc5": 0.01},
    "cifar10-11pct": {"conv1": 1e-4, "conv2": 0.01, "local3": 0.04, "local4": 0.04, "fc5": 0.01},
}
DECAYS = {
    "cifar10-80sec": {"conv1": 0.004, "conv2": 0.004, "conv3": 0.004, "fc4": 0.03, "fc5": 0.03},
    "cifar10-18pct": {"conv1": 0.004, "conv2": 0.004, "conv3": 0.004, "fc4": 1.0},
    "cifar10-13pct": {"conv1": 0, "conv2": 0, "local3": 0.004, "local4": 0.004, "fc5": 0.004},
    "cifar10-11pct": {"conv1": 0, "conv2": 0, "local3": 0.004, "local4": 0.004, "fc5": 0.01},
    "cifar10-figure1": {"conv1": 0, "conv2": 0, "conv3": 0, "fc4": 0, "fc5": 0},
}
RATES = {
    "cifar10-80sec": {0: 1e-3, 15: 1e-3, 16: 1e-4, 19: 1e-4},
    "cifar10-18pct": {0: 1e-3, 119: 1e-3, 120: 1e-4, 129: 1e-4, 130: 1e-5, 139: 1e-5},
    "cifar10-13pct": {0: 1e-3, 499: 1e-3, 500: 1e-4, 509: 1e-4, 510: 1e-5, 519: 1e-5},
    "cifar10-11pct": {0: 1e-3, 499: 1e-3, 500: 1e-4, 509: 1e-4, 510: 1e-5, 519: 1e-5},
}


def built(name: str, **other: object) -> CifarNet:
    """Return the net of the recipe `name`, with some fields of its model changed."""
    model = recipes.load(name).model.model_copy(update=other)
    network = registry.build(model, 10, seed=1)
    assert isinstance(network, CifarNet)
    return network


def some_images(side: int, num: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 60 * torch.randn(num, 3, side, side, generator=generator)


@pytest.mark.parametrize("name", cifar_layers.NETS)
def test_every_layer_costs_what_the_sheet_says(name: str) -> None:
    network = built(name)
    assert count(network, network.side) == COSTS[name]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == total(COSTS[name]).parameters


@pytest.mark.parametrize("name", cifar_layers.NETS)
def test_the_parts_stand_in_the_order_of_the_sheet(name: str) -> None:
    assert " ".join(part for part, _ in built(name).named_children()) == PARTS[name]


@pytest.mark.parametrize("name", cifar_layers.NETS)
def test_initial_weights_have_the_deviation_of_their_layer_and_biases_are_zero(name: str) -> None:
    for parameter, values in built(name).named_parameters():
        layer, kind = parameter.split(".")
        if kind == "bias":
            assert not values.any()
        else:
            assert values.std().item() == pytest.approx(STDS[name][layer], rel=0.1)
            assert values.mean().item() == pytest.approx(0, abs=0.1 * STDS[name][layer])


def test_the_seed_decides_the_weights_and_nothing_else_does() -> None:
    first = built("cifar10-13pct").state_dict()
    torch.manual_seed(7)
    for name, values in built("cifar10-13pct").state_dict().items():
        assert torch.equal(values, first[name])
    other = registry.build(recipes.load("cifar10-13pct").model, 10, seed=2)
    assert not torch.equal(other.state_dict()["conv1.weight"], first["conv1.weight"])


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("side", [32, 7])
def test_the_last_window_hangs_over_and_only_cells_that_exist_count(
    kind: Literal["max", "avg"], side: int
) -> None:
    maps, out_side = some_images(side), {32: 16, 7: 3}[side]
    expected = torch.empty(2, 3, out_side, out_side)
    for y in range(out_side):
        for x in range(out_side):
            window = maps[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            expected[:, :, y, x] = window.amax((2, 3)) if kind == "max" else window.mean((2, 3))
    torch.testing.assert_close(cifar.pool(maps, kind), expected)


def test_the_80_second_net_equals_its_layers_written_out() -> None:
    network, images = built("cifar10-80sec", std_factor=5.0), some_images(32)
    state = network.state_dict()

    def weights(layer: str) -> tuple[Tensor, Tensor]:
        return state[f"{layer}.weight"], state[f"{layer}.bias"]

    maps = functional.relu(functional.conv2d(images, *weights("conv1"), padding=2))
    maps = cifar.pool(maps, "max")
    for layer in ("conv2", "conv3"):
        maps = functional.relu(functional.conv2d(maps, *weights(layer), padding=2))
        maps = cifar.pool(maps, "avg")
    units = functional.relu(functional.linear(maps.flatten(1), *weights("fc4")))
    expected = functional.linear(units, *weights("fc5"))
    torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_maximum_before_the_nonlinearity_gives_what_one_after_it_gives(activation: str) -> None:
    network = built("cifar10-13pct", activation=activation, std_factor=100.0)
    activations = network.activations(some_images(32), ["conv1", "pool1"])
    after = (
        functional.relu(activations["conv1"])
        if activation == "relu"
        else activations["conv1"].tanh()
    )
    torch.testing.assert_close(activations["pool1"], cifar.pool(after, "max"), rtol=0, atol=0)


@pytest.mark.parametrize("name", cifar_layers.NETS)
def test_activations_are_those_of_the_forward_pass_in_its_order(name: str) -> None:
    network = built(name)
    names = [part for part in PARTS[name].split() if "relu" not in part and part != "flat"]
    activations = network.activations(some_images(network.side), names)
    assert list(activations) == names == network.names
    torch.testing.assert_close(activations[names[-1]], network(some_images(network.side)))
    sums = {"conv1", "conv2"} if name == "cifar10-13pct" else {"conv1"}
    assert {part for part in names[:-1] if (activations[part] < 0).any()} == sums


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected any of conv1, pool1, .*fc5, found 'relu1'"):
        built("cifar10-80sec").activations(some_images(32), ["relu1"])


def test_norms_have_the_constants_of_the_sheet() -> None:
    maps = torch.full((1, 32, 4, 4), 100.0)
    within = built("cifar10-18pct").get_submodule("norm1")(maps)
    assert within[0, 0, 1, 1].item() == pytest.approx(100 * (1 + 5e-5 * 1e4) ** -0.75)
    assert within[0, 0, 0, 0].item() == pytest.approx(100 * (1 + 5e-5 * 1e4 * 4 / 9) ** -0.75)
    across = built("cifar10-11pct").get_submodule("norm1")(maps)
    assert across[0, 9, 0, 0].item() == pytest.approx(100 * (1 + 0.001 * 1e4) ** -0.75)
    assert across[0, 0, 0, 0].item() == pytest.approx(100 * (1 + 0.001 * 1e4 * 5 / 9) ** -0.75)


def test_norms_can_be_left_out() -> None:
    names = " ".join(part for part, _ in built("cifar10-11pct", norm="none").named_children())
    # A maximum that now comes right after conv2 is taken before its nonlinearity.
    expected = PARTS["cifar10-11pct"].replace("norm1 ", "")
    assert names == expected.replace("relu2 norm2 pool2", "pool2 relu2")


def test_tanh_takes_the_place_of_every_relu() -> None:
    names = " ".join(part for part, _ in built("cifar10-80sec", activation="tanh").named_children())
    assert names == PARTS["cifar10-80sec"].replace("relu", "tanh")


def test_width_changes_every_layer_but_the_last() -> None:
    costs = count(built("cifar10-80sec", width=0.25), 32)
    assert [cost.biases for cost in costs.values()] == [8, 8, 16, 16, 10]


@pytest.mark.parametrize("name", RECIPES)
def test_decays_are_those_of_the_sheet(name: str) -> None:
    rule = recipes.load(name).optimiser
    layers = {layer.name for layer in cifar_layers.NETS[recipes.load(name).model.name]}
    assert rule.layer_decays.keys() <= layers
    decays = {layer: rule.layer_decays.get(layer, rule.weight_decay) for layer in layers}
    assert decays == DECAYS[name]
    assert rule.points()["momentum"] == "0.9"


@pytest.mark.parametrize("name", RATES)
def test_rates_by_epoch(name: str) -> None:
    schedule = recipes.load(name).schedule
    by_epoch = {epoch: rates_at(schedule, epoch) for epoch in RATES[name]}
    for epoch, rates in by_epoch.items():
        assert rates.weights == pytest.approx(RATES[name][epoch])
        falls = name not in ("cifar10-13pct", "cifar10-11pct")
        assert rates.biases == pytest.approx(2 * rates.weights if falls else 0.002)
        assert not rates.noise
    assert max(by_epoch) == schedule.epochs - 1


def test_only_the_11_per_cent_net_sees_crops_and_reflections() -> None:
    seen = {name: recipes.load(name) for name in RECIPES}
    assert {name for name, recipe in seen.items() if recipe.feed.reflect} == {"cifar10-11pct"}
    assert {name for name, recipe in seen.items() if recipe.model.side != 32} == {"cifar10-11pct"}
    assert seen["cifar10-11pct"].model.side == 24
    assert {recipe.feed.batch_size for recipe in seen.values()} == {128}


def test_images_of_another_side_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 3, 24, 24\), found \(2, 3, 32, 32\)"):
        built("cifar10-11pct")(some_images(32))


def test_a_field_that_the_nets_do_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.pool: expected a key of model, found 'pool'"):
        recipes.load("cifar10-80sec", ("model.pool='2/2'",))


def test_norm_constants_of_other_nets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.norm: expected 'code' or 'none', found 'paper'"):
        recipes.load("cifar10-11pct", ("model.norm=paper",))
