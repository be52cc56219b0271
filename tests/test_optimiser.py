"""The 2012 update rule, against hand arithmetic and torch's own rule."""

import copy
import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from alexrep.config.model import AlexNetModel
from alexrep.config.optimiser import Momentum2012Rule, Optimiser
from alexrep.errors import ConfigError, ManifestError
from alexrep.models.alexnet.network import AlexNet, build
from alexrep.training import optimiser as optimisers
from alexrep.training.groups import parameter_groups, set_rates
from alexrep.training.optimiser import Momentum2012

TOWER = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
"""Layers of a tower that have parameters."""


def single(weight: float, decay: float = 0.0005) -> tuple[nn.Parameter, Momentum2012]:
    """Return one float64 parameter and its optimiser."""
    parameter = nn.Parameter(torch.tensor([weight], dtype=torch.float64))
    group = {"params": [parameter], "rate": 0.1, "momentum": 0.9, "weight_decay": decay}
    return parameter, Momentum2012([group])


def walk(
    parameter: nn.Parameter,
    optimiser: torch.optim.Optimizer,
    rates: Sequence[float],
    key: str = "rate",
) -> list[float]:
    """Take one step per rate, each with gradient w, and return the values after each."""
    path = []
    for rate in rates:
        optimiser.param_groups[0][key] = rate
        parameter.grad = parameter.detach().clone()
        optimiser.step()
        path.append(parameter.item())
    return path


def small() -> AlexNet:
    """Return a small network on the meta device."""
    with torch.device("meta"):
        return AlexNet(AlexNetModel(side=67, width=0.02), 3)


def test_three_steps_by_hand() -> None:
    parameter, optimiser = single(2.0, decay=0.5)
    # Gradient 1 throughout: v1 = -0.1 * 0.5 * 2 - 0.1 * 1 = -0.2, w1 = 1.8;
    # v2 = 0.9 * -0.2 - 0.1 * 0.5 * 1.8 - 0.1 = -0.37, w2 = 1.43; then rate 0.01:
    # v3 = 0.9 * -0.37 - 0.01 * 0.5 * 1.43 - 0.01 = -0.35015, w3 = 1.07985.
    path = []
    for rate in (0.1, 0.1, 0.01):
        optimiser.param_groups[0]["rate"] = rate
        parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        path.append(parameter.item())
    assert path == pytest.approx([1.8, 1.43, 1.07985], abs=1e-12)


def test_at_a_constant_rate_it_equals_sgd() -> None:
    mine, optimiser = single(2.0)
    peer = nn.Parameter(mine.detach().clone())
    sgd = torch.optim.SGD([peer], lr=0.1, momentum=0.9, weight_decay=0.0005)
    rates = [0.1] * 30
    assert walk(mine, optimiser, rates) == pytest.approx(walk(peer, sgd, rates, "lr"), abs=1e-12)


def test_after_a_change_of_rate_it_keeps_the_old_velocity_and_sgd_does_not() -> None:
    mine, optimiser = single(2.0)
    peer = nn.Parameter(mine.detach().clone())
    sgd = torch.optim.SGD([peer], lr=0.1, momentum=0.9, weight_decay=0.0005)
    ours, theirs = (
        walk(mine, optimiser, [0.1, 0.1, 0.01]),
        walk(peer, sgd, [0.1, 0.1, 0.01], "lr"),
    )
    assert ours[:2] == pytest.approx(theirs[:2], abs=1e-12)
    assert abs(ours[2] - ours[1]) > 5 * abs(theirs[2] - theirs[1])


def test_rate_zero_freezes_values_and_velocity() -> None:
    parameter, optimiser = single(2.0)
    walk(parameter, optimiser, [0.1])
    value, velocity = parameter.item(), optimiser.state[parameter]["velocity"].item()
    assert walk(parameter, optimiser, [0.0, 0.0]) == [value, value]
    assert optimiser.state[parameter]["velocity"].item() == velocity != 0


def test_a_parameter_without_gradient_is_left_alone() -> None:
    parameter, optimiser = single(2.0)
    optimiser.step()
    assert parameter.item() == 2.0
    assert not optimiser.state


def test_a_closure_is_called_with_gradients_on() -> None:
    parameter, optimiser = single(2.0, decay=0.0)

    def closure() -> float:
        loss = (parameter**2).sum()
        torch.autograd.backward(loss)
        return loss.item()

    assert optimiser.step(closure) == 4.0
    assert parameter.item() == pytest.approx(1.6)


def test_there_is_one_group_per_layer_and_kind() -> None:
    groups = parameter_groups(small(), Momentum2012Rule(weight_decay=0.001))
    layers = [f"towers.{index}.{layer}" for index in (0, 1) for layer in TOWER]
    expected = [(layer, kind) for layer in (*layers, "fc8") for kind in ("weights", "biases")]
    assert [(group["layer"], group["kind"]) for group in groups] == expected
    assert {len(group["params"]) for group in groups} == {1}
    for group in groups:
        decay = 0.001 if group["kind"] == "weights" else 0.0
        assert (group["rate"], group["weight_decay"]) == (0.0, decay)


def test_single_layers_may_have_another_decay() -> None:
    rule = Momentum2012Rule(
        weight_decay=0.001, layer_decays={"towers.1.conv1": 0.0, "conv1": 0.02, "fc8": 0.03}
    )
    groups = parameter_groups(small(), rule)
    decays = {(group["layer"], group["kind"]): group["weight_decay"] for group in groups}
    assert decays["towers.0.conv1", "weights"] == 0.02
    assert decays["towers.1.conv1", "weights"] == 0
    assert decays["fc8", "weights"] == 0.03
    assert decays["towers.0.conv2", "weights"] == 0.001
    assert not any(decay for (_, kind), decay in decays.items() if kind == "biases")


def test_a_decay_of_a_layer_that_is_not_there_is_a_config_error() -> None:
    message = r"optimiser.layer_decays: expected layers of conv1, .*fc8, found 'fc9'"
    with pytest.raises(ConfigError, match=message):
        parameter_groups(small(), Momentum2012Rule(layer_decays={"fc9": 0.1}))


def test_every_parameter_is_in_one_group() -> None:
    network = small()
    grouped = [
        parameter
        for group in parameter_groups(network, Momentum2012Rule())
        for parameter in group["params"]
    ]
    assert {id(p) for p in grouped} == {id(p) for p in network.parameters()}
    assert len(grouped) == len(list(network.parameters()))


def test_rates_reach_their_groups_and_only_the_rates_that_are_not_zero_move() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimiser = optimisers.build(Momentum2012Rule(), network)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    rates = {("0", "weights"): 0.1, ("0", "biases"): 0.2, ("1", "weights"): 0.0}
    set_rates(optimiser, rates | {("1", "biases"): 0.3})
    torch.autograd.backward(network(torch.ones(1, 2)).sum())
    optimiser.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert moved == [True, True, False, True]


@pytest.mark.parametrize("layers", [("0",), ("0", "1", "2")])
def test_rates_must_fit_the_groups(layers: tuple[str, ...]) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimiser = optimisers.build(Momentum2012Rule(), network)
    rates = {(layer, kind): 0.1 for layer in layers for kind in ("weights", "biases")}
    with pytest.raises(ValueError, match="rates: expected one per group"):
        set_rates(optimiser, rates)


def test_a_layer_without_biases_has_a_rate_of_weights_only() -> None:
    optimiser = optimisers.build(Momentum2012Rule(), nn.Linear(2, 2, bias=False))
    set_rates(optimiser, {("", "weights"): 0.1, ("", "biases"): 0.2})
    assert [group["rate"] for group in optimiser.param_groups] == [0.1]


def trained(seed: int) -> tuple[AlexNet, torch.optim.Optimizer]:
    """Return a network of two towers after a step with random gradients."""
    network = build(AlexNetModel(side=67, width=0.02), 3, seed=1)
    optimiser = optimisers.build(Momentum2012Rule(), network)
    step(network, optimiser, seed)
    return network, optimiser


def step(network: AlexNet, optimiser: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for group in optimiser.param_groups:
        group["rate"] = 0.1
    for _, parameter in sorted(network.named_parameters()):
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimiser.step()


def merged(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state in version 1's format: the layers of both towers in one group."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    indices: dict[int, int] = {}
    for group in state["param_groups"]:
        layer = group["layer"].rpartition(".")[2]
        target = groups.setdefault((layer, group["kind"]), {**group, "layer": layer, "params": []})
        target["params"] += group["params"]
    for group in groups.values():
        for index in group["params"]:
            indices[index] = len(indices)
        group["params"] = [indices[index] for index in group["params"]]
    velocities = {indices[index]: velocity for index, velocity in state["state"].items()}
    return {"state": velocities, "param_groups": list(groups.values())}


@pytest.mark.parametrize("as_saved", [lambda state: state, merged])
def test_a_state_goes_on_with_the_same_bits(as_saved: Callable[..., dict[str, Any]]) -> None:
    network, optimiser = trained(seed=1)
    other, resumed = trained(seed=2)
    other.load_state_dict(network.state_dict())
    optimisers.restore(resumed, as_saved(copy.deepcopy(optimiser.state_dict())))
    step(network, optimiser, seed=3)
    step(other, resumed, seed=3)
    mine, theirs = network.state_dict(), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_state_of_another_network_is_refused_in_one_line() -> None:
    state = optimisers.build(Momentum2012Rule(), nn.Linear(2, 2)).state_dict()
    _, optimiser = trained(seed=1)
    message = "the checkpoint's optimizer: expected the groups of this network, found others; go on"
    with pytest.raises(ManifestError, match=message):
        optimisers.restore(optimiser, state)


def test_a_rule_that_nothing_makes_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"optimiser.name: expected one of adam, adamw, "):
        optimisers.build(Optimiser(name="other"), nn.Linear(2, 2))


def test_the_state_is_plain_data_and_goes_on_with_the_same_bits() -> None:
    parameter, optimiser = single(2.0)
    walk(parameter, optimiser, [0.1, 0.1])
    stream = io.BytesIO()
    torch.save(optimiser.state_dict(), stream)
    stream.seek(0)
    other, resumed = single(parameter.item())
    resumed.load_state_dict(torch.load(stream, weights_only=True))
    assert walk(other, resumed, [0.1, 0.01]) == walk(parameter, optimiser, [0.1, 0.01])
