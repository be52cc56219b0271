"""torch's update rules with our groups: step by step against torch's own, clipping, L1."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from alexrep.config.optimiser import (
    KINDS,
    AdamRule,
    Momentum2012Rule,
    Optimiser,
    RmsPropRule,
    SgdRule,
)
from alexrep.training import optimiser as optimisers
from alexrep.training.groups import set_rates

RATE, DECAY = 0.05, 0.01

Peer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]

PEERS: list[tuple[Optimiser, Peer]] = [
    (
        SgdRule(name="sgd", momentum=0.8),
        lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.8, weight_decay=DECAY),
    ),
    (
        SgdRule(name="sgd", nesterov=True),
        lambda p: torch.optim.SGD(p, RATE, 0.9, weight_decay=DECAY, nesterov=True),
    ),
    (
        AdamRule(name="adam", beta1=0.8, epsilon=1e-3),
        lambda p: torch.optim.Adam(p, RATE, (0.8, 0.999), eps=1e-3, weight_decay=DECAY),
    ),
    (
        AdamRule(name="adamw", beta2=0.99),
        lambda p: torch.optim.AdamW(p, RATE, (0.9, 0.99), weight_decay=DECAY),
    ),
    (
        RmsPropRule(name="rmsprop", momentum=0.5, alpha=0.9, centred=True),
        lambda p: torch.optim.RMSprop(
            p, RATE, 0.9, momentum=0.5, centered=True, weight_decay=DECAY
        ),
    ),
]
"""Rules, and torch's own with the same numbers."""


def decaying(rule: Optimiser) -> Optimiser:
    """Return the rule with decay of all parameters."""
    return rule.model_copy(update={"weight_decay": DECAY, "decay_biases": True})


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def learn(model: nn.Module, images: Tensor) -> None:
    """Set the gradients of a loss."""
    model.zero_grad()
    torch.autograd.backward((model(images) ** 2).sum())


def rates(weights: float, biases: float, **layers: float) -> dict[tuple[str, str], float]:
    own = {int(name[1:]): rate for name, rate in layers.items()}
    return {
        (str(layer), kind): own.get(layer, rate)
        for layer in (0, 2)
        for kind, rate in (("weights", weights), ("biases", biases))
    }


def values(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("rule", [rule for rule, _ in PEERS], ids=lambda rule: rule.name)
def test_the_layout_in_memory_changes_no_step(rule: Optimiser) -> None:
    """A fused rule walks through memory: weights, gradients and means must lie alike."""
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 2)).double()
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    for model in (plain, last):
        ours = optimisers.build(decaying(rule), model)
        set_rates(ours, {(str(n), kind): RATE for n in (0, 2) for kind in ("weights", "biases")})
        for _ in range(3):
            learn(model, images.contiguous(memory_format=torch.channels_last))
            ours.step()
    torch.testing.assert_close(values(last), values(plain), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rule", "peer"), PEERS, ids=lambda each: getattr(each, "name", ""))
def test_every_step_is_torchs_own(rule: Optimiser, peer: Peer) -> None:
    mine, theirs = network(), network()
    ours = optimisers.build(decaying(rule), mine)
    set_rates(ours, rates(RATE, RATE))
    other = peer(list(theirs.parameters()))
    images = torch.randn(5, 3, dtype=torch.float64)
    for step in range(6):
        for model, optimiser in ((mine, ours), (theirs, other)):
            learn(model, images + step)
            optimiser.step()
        torch.testing.assert_close(values(mine), values(theirs), rtol=1e-12, atol=1e-14)
        assert not torch.equal(values(mine), values(network()))


@pytest.mark.parametrize("rule", [rule for rule, _ in PEERS], ids=lambda rule: rule.name)
def test_a_layer_of_rate_zero_is_left_alone_and_its_means_too(rule: Optimiser) -> None:
    model = network()
    before = copy.deepcopy(model[0].state_dict())
    optimiser = optimisers.build(decaying(rule), model)
    set_rates(optimiser, rates(RATE, RATE, _0=0.0))
    learn(model, torch.ones(2, 3, dtype=torch.float64))
    optimiser.step()
    assert all(torch.equal(model[0].state_dict()[name], before[name]) for name in before)
    assert set(optimiser.state) == set(model[2].parameters())


def test_biases_have_their_own_rate() -> None:
    model = network()
    optimiser = optimisers.build(SgdRule(name="sgd", momentum=0.0, weight_decay=0.0), model)
    set_rates(optimiser, rates(0.1, 0.2))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    learn(model, torch.ones(2, 3, dtype=torch.float64))
    optimiser.step()
    for old, parameter, rate in zip(before, model.parameters(), (0.1, 0.2) * 2, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.detach(), old - rate * parameter.grad)


@pytest.mark.parametrize("rule", [rule for rule, _ in PEERS], ids=lambda rule: rule.name)
def test_a_state_goes_on_with_the_same_bits(rule: Optimiser) -> None:
    images = torch.randn(5, 3, dtype=torch.float64)

    def steps(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        set_rates(optimiser, rates(RATE, 2 * RATE))
        for _ in range(3):
            learn(model, images)
            optimiser.step()

    model, other = network(), network()
    optimiser = optimisers.build(rule, model)
    steps(model, optimiser)
    saved = copy.deepcopy(optimiser.state_dict())
    for group in saved["param_groups"]:
        del group["l1"]  # checkpoints of before have no such number
        group |= {key: list(value) for key, value in group.items() if isinstance(value, tuple)}
    other.load_state_dict(model.state_dict())
    resumed = optimisers.build(rule, other)
    optimisers.restore(resumed, saved)
    steps(model, optimiser)
    steps(other, resumed)
    assert torch.equal(values(model), values(other))


def shaped(rule: Optimiser, **layers: float) -> tuple[nn.Sequential, list[Tensor], list[Tensor]]:
    """Return a network, its gradients, and what the rule makes of them."""
    model = network()
    optimiser = optimisers.build(rule, model)
    set_rates(optimiser, rates(0.1, 0.1, **layers))
    learn(model, torch.ones(2, 3, dtype=torch.float64))
    before = gradients(model)
    optimisers.shape_gradients(optimiser, rule)
    return model, before, gradients(model)


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def norm(parts: list[Tensor]) -> float:
    return float(torch.cat([part.flatten() for part in parts]).norm())


def test_a_long_gradient_is_scaled_down_and_a_short_one_is_not() -> None:
    _, before, after = shaped(Momentum2012Rule(clip_norm=0.01))
    assert norm(before) > 0.02
    assert norm(after) == pytest.approx(0.01, rel=1e-4)
    assert torch.allclose(after[0] / norm(after), before[0] / norm(before), rtol=1e-4)
    _, before, after = shaped(Momentum2012Rule(clip_norm=100.0))
    assert all(map(torch.equal, before, after))


def test_a_layer_that_is_not_trained_does_not_count_in_the_norm() -> None:
    _, before, after = shaped(Momentum2012Rule(clip_norm=0.01), _0=0.0)
    assert all(map(torch.equal, before[:2], after[:2]))
    assert norm(after[2:]) == pytest.approx(0.01, rel=1e-4)


def test_l1_adds_the_signs_of_weights_and_leaves_biases_alone() -> None:
    model, before, after = shaped(Momentum2012Rule(l1=0.3))
    for index, parameter in enumerate(model.parameters()):
        share = 0.0 if parameter.dim() == 1 else 0.3
        torch.testing.assert_close(after[index], before[index] + share * parameter.detach().sign())


def test_without_l1_and_clipping_gradients_stay() -> None:
    _, before, after = shaped(Momentum2012Rule())
    assert all(map(torch.equal, before, after))


def test_biases_may_decay_by_a_number_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    rule = Momentum2012Rule(weight_decay=0.1, bias_decay=0.2)
    decays = [group["weight_decay"] for group in optimisers.build(rule, model).param_groups]
    assert decays == [0.1, 0.2, 0.0, 0.0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "sgd", "nesterov": True, "momentum": 0.0}, "nesterov needs a momentum above 0"),
        ({"bias_decay": 0.1, "decay_biases": True}, "decay_biases and bias_decay must not both"),
        ({"name": "adam", "momentum": 0.9}, "momentum"),
        ({"clip_norm": 0.0}, "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(table: dict[str, Any], message: str) -> None:
    settings = KINDS.class_for(table)
    assert settings is not None
    with pytest.raises(ValidationError, match=message):
        settings.model_validate(table)
