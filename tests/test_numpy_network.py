"""Our network against a second one in NumPy: activations, gradients, updates and ten views.

All in float64, but for the patches that the feed makes. 68 is the smallest side that asks for
three rows and columns of zeros, as 224 does, and its pools hang over the edge; 67 asks for none,
as Caffe's 227.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from numpy_layers import Floats, across_maps, max_pool, within_map
from numpy_network import (
    CAFFE,
    NET_145,
    PAPER,
    TANH,
    Network,
    Variant,
    averaged,
    cross_entropy,
    ten_views,
)
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config import recipes
from alexrep.config.rates import rates_at
from alexrep.config.recipe import Recipe
from alexrep.evaluation.evaluate import probabilities
from alexrep.feed import views
from alexrep.feed.normalise import Inputs, make_inputs
from alexrep.models import registry
from alexrep.models.alexnet.network import AlexNet, Form
from alexrep.models.dropout import keys, mask, set_keys
from alexrep.training import optimiser as optimisers
from alexrep.training.groups import layers_of, set_rates

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_IMAGES, NUM_CLASSES = 4, 5

Phase = tuple[int, int, dict[str, float]]
"""Steps, the finished epochs before them, and the rates by kind, or by layer and kind."""


@dataclass(frozen=True)
class Case:
    """A recipe, and what it should be in the second network."""

    recipe: str
    side: int
    stored: int
    """Side of the stored images."""
    variant: Variant
    phases: tuple[Phase, ...]
    """Twenty updates, by the recipe's schedule."""


FIRST = {"weight": 0.01, "bias": 0.02}
HAND: tuple[Phase, ...] = (
    (8, 0, FIRST),
    (6, 25, {"weight": 0.001, "bias": 0.02}),
    (3, 67, {"weight": 0.0001, "bias": 0.02, "conv1.weight": 1e-5}),
    (3, 72, {"weight": 0.0001, "bias": 0.02, "conv1.weight": 0.0, "conv1.bias": 0.0}),
)
"""Of net 145: rates fall by hand, and conv1 stands still at the end."""
FALLS: tuple[Phase, ...] = ((10, 0, FIRST), (10, 20, {"weight": 0.001, "bias": 0.002}))
PLATEAU: tuple[Phase, ...] = (
    (10, 0, {"weight": 0.01, "bias": 0.01}),
    (10, 6, {"weight": 0.001, "bias": 0.001}),
)
"""Of the paper, one rate for all, after six epochs with the same error."""

CASES = [
    Case("alexnet-2012", 68, 76, NET_145, HAND),
    Case("alexnet-2012-tanh", 68, 75, TANH, HAND),
    Case("alexnet-paper", 68, 76, PAPER, PLATEAU),
    Case("alexnet-caffe", 67, 76, CAFFE, FALLS),
]
FORMS: tuple[Form, ...] = ("towers", "joined")

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.recipe))
each_form = pytest.mark.parametrize("form", FORMS)


def recipe_of(case: Case) -> Recipe:
    """Return the recipe with 7 to 29 maps in a tower, and deviations that carry the signals."""
    fields = {"side": case.side, "width": 0.15, "std_factor": 3.5}
    return recipes.load(case.recipe, tuple(f"model.{key}={value}" for key, value in fields.items()))


def build(case: Case, form: Form = "towers") -> AlexNet:
    """Return our network in float64."""
    network = registry.build(recipe_of(case).model, NUM_CLASSES, 1, form).double()
    assert isinstance(network, AlexNet)
    return network


def joined(tensors: Iterable[tuple[str, Tensor | None]]) -> dict[str, Floats]:
    """Return what belongs to the parameters by layer, the towers' parts one after the other."""
    parts: dict[str, list[Floats]] = {}
    for name, tensor in tensors:
        assert tensor is not None
        layer, kind = name.split(".")[-2:]
        parts.setdefault(f"{layer}.{kind}", []).append(tensor.detach().numpy())
    return {name: np.concatenate(found) for name, found in parts.items()}


def peer_of(case: Case, network: AlexNet) -> Network:
    """Return the second network with the present values of ours."""
    return Network(case.variant, joined(network.named_parameters()))


def batch(case: Case, number: int) -> tuple[Tensor, Tensor]:
    """Return patches of tens of grey levels, and labels."""
    generator = torch.Generator().manual_seed(number)
    shape = NUM_IMAGES, 3, case.side, case.side
    images = 70 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return images, torch.randint(NUM_CLASSES, (NUM_IMAGES,), generator=generator)


def draw_masks(network: AlexNet, step: int) -> dict[str, Floats]:
    """Hand our network the dropout keys of a step; return the masks that they stand for."""
    of_step = keys(1, step, np.arange(NUM_IMAGES))
    set_keys(network, of_step)
    num_units = network.fc8.in_features
    return {f"fc{k}": mask(of_step, k, 0, num_units).double().numpy() for k in (6, 7)}


def learn(network: AlexNet, case: Case, number: int) -> tuple[float, Floats]:
    """Return our loss on a batch and its gradient to the images; fill the parameters' ones."""
    images, labels = batch(case, number)
    images.requires_grad_()
    network.zero_grad()
    loss = functional.cross_entropy(network(images), labels)
    torch.autograd.backward(loss)
    assert images.grad is not None
    return loss.item(), images.grad.numpy()


def learn_again(
    peer: Network, case: Case, number: int, masks: dict[str, Floats]
) -> tuple[float, Floats]:
    """Do the same in the second network."""
    images, labels = batch(case, number)
    loss, gradient = cross_entropy(peer.forward(images.numpy(), masks), labels.numpy())
    return loss, peer.backward(gradient)


def assert_same(found: Mapping[str, Floats], wanted: Mapping[str, Floats]) -> None:
    """Compare arrays: each number to 1e-9 of itself, or to 1e-12 of the largest beside it."""
    assert found.keys() == wanted.keys()
    for name, expected in wanted.items():
        largest = np.abs(expected).max()
        assert largest > 0, name
        np.testing.assert_allclose(found[name], expected, 1e-9, 1e-12 * largest, err_msg=name)


@each_form
@each_case
@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
def test_the_activations_of_every_layer_are_the_same(
    case: Case, form: Form, is_training: bool
) -> None:
    network = build(case, form).train(is_training)
    peer, masks = peer_of(case, network), draw_masks(network, 0)
    images, _ = batch(case, 0)
    peer.forward(images.numpy(), masks if is_training else None)
    found = network.activations(images, network.names)
    ours = {name: out.detach().numpy() for name, out in found.items()}
    assert_same(ours, {name: peer.outputs[name] for name in network.names})


@each_form
@each_case
def test_the_loss_and_all_gradients_are_the_same(case: Case, form: Form) -> None:
    network = build(case, form)
    peer, masks = peer_of(case, network), draw_masks(network, 0)
    loss, to_images = learn(network, case, 0)
    second_loss, second_to_images = learn_again(peer, case, 0, masks)
    assert loss == pytest.approx(second_loss, rel=1e-9)
    assert_same({"images": to_images}, {"images": second_to_images})
    assert_same(joined((n, p.grad) for n, p in network.named_parameters()), peer.gradients)
    assert len(peer.gradients) == 16


@each_case
def test_twenty_updates_give_the_same_losses_and_values(case: Case) -> None:
    network = build(case)
    peer, recipe = peer_of(case, network), recipe_of(case)
    optimiser = optimisers.build(recipe.optimiser, network)
    steps = [(epoch, rates) for num, epoch, rates in case.phases for _ in range(num)]
    for step, (epoch, by_kind) in enumerate(steps):
        rates = rates_at(recipe.schedule, epoch, [0.9] * (epoch + 1))
        set_rates(optimiser, rates.table(layers_of(optimiser.param_groups)))
        masks = draw_masks(network, step)
        loss, _ = learn(network, case, step)
        optimiser.step()
        second_loss, _ = learn_again(peer, case, step, masks)
        peer.update({name: by_kind.get(name, by_kind[name.split(".")[1]]) for name in peer.values})
        assert loss == pytest.approx(second_loss, rel=1e-9), f"step {step}"
    assert len(steps) == 20
    assert_same(joined(network.named_parameters()), peer.values)
    velocities = {p: state["velocity"] for p, state in optimiser.state.items()}
    named = ((name, velocities[p]) for name, p in network.named_parameters())
    assert_same(joined(named), peer.velocities)


def stored(side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return two stored images, and a mean image in sixteenths, which float32 subtracts exactly."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(2, side, side, 3), dtype=np.uint8)
    return images, (rng.integers(800, 2400, (side, side, 3)) / 16).astype(np.float32)


def inputs_of(recipe: Recipe, mean: NDArray[np.float32]) -> Inputs:
    """Return the constants of the feed; those of the colour noise do not matter here."""
    feed, noise, side = recipe.feed, recipe.noise, recipe.model.side
    return make_inputs(
        *(mean, np.eye(3), np.ones(3), side, noise.scale, noise.divide),
        mean=feed.mean,
        channels=feed.channels,
    )


@pytest.mark.parametrize(("case", "side"), [(CASES[0], 224), (CASES[2], 224), (CASES[3], 227)])
def test_the_ten_views_of_a_stored_image_are_the_same(case: Case, side: int) -> None:
    images, mean = stored(256)
    inputs = inputs_of(recipes.load(case.recipe), mean)
    ours = [view.numpy() for view in views.patches(torch.from_numpy(images), "ten-crop", inputs)]
    theirs = ten_views(images, mean.astype(np.float64), side, case.variant)
    assert np.array_equal(np.stack(ours), np.stack(theirs))


class Doubled(nn.Module):
    """A network in float64 for the feed's patches, which are in float32."""

    def __init__(self, network: AlexNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        logits: Tensor = self.network(patches.double())
        return logits


@torch.no_grad()
@each_case
def test_the_probabilities_over_ten_views_are_the_same(case: Case) -> None:
    network = build(case)
    peer, (images, mean) = peer_of(case, network), stored(case.stored)
    inputs, seen = inputs_of(recipe_of(case), mean), torch.from_numpy(images)
    ours = probabilities(Doubled(network).eval(), seen, "ten-crop", inputs)
    cut = ten_views(images, mean.astype(np.float64), case.side, case.variant)
    theirs = averaged(peer, cut)
    assert_same({"ten views": ours.numpy()}, {"ten views": theirs})
    # The image decides more than the tolerance hides.
    assert np.ptp(theirs, axis=0).min() > 1e-7


@each_case
def test_the_second_network_agrees_with_finite_differences(case: Case) -> None:
    network = build(case)
    peer, masks = peer_of(case, network), draw_masks(network, 0)
    learn_again(peer, case, 0, masks)
    start, gradients = peer.values, dict(peer.gradients)
    for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"):
        name = f"{layer}.weight"
        # So short that no cell of a pool and no neuron changes sides.
        way = 1e-9 * np.sign(gradients[name])
        losses = []
        for sign in (1, -1):
            peer.values = start | {name: start[name] + sign * way}
            losses.append(learn_again(peer, case, 0, masks)[0])
        slope = float((gradients[name] * way).sum())
        assert (losses[0] - losses[1]) / 2 == pytest.approx(slope, rel=1e-4), name


@pytest.mark.parametrize("side", range(3, 9))
def test_of_equal_cells_the_first_gets_the_gradient(side: int) -> None:
    rng = np.random.default_rng(side)
    maps = rng.integers(3, size=(2, 3, side, side)).astype(np.float64)
    ours = torch.from_numpy(maps).requires_grad_()
    pooled = functional.max_pool2d(ours, 3, 2, ceil_mode=True)
    out, back = max_pool(maps)
    gradient = rng.standard_normal(out.shape)
    torch.autograd.backward(pooled, torch.from_numpy(gradient))
    assert ours.grad is not None
    assert np.array_equal(pooled.detach().numpy(), out)
    np.testing.assert_allclose(ours.grad.numpy(), back(gradient), 1e-12, 1e-12)


@pytest.mark.parametrize(
    ("variant", "known"),
    [
        (NET_145, (48.8394, 46.1989, 43.8691)),
        (PAPER, (29.9070, 26.0847, 23.2368)),
        (CAFFE, (70.2927, 64.3496, 59.4604)),
    ],
)
def test_the_second_normalisations_give_the_known_answers(
    variant: Variant, known: tuple[float, ...]
) -> None:
    maps = np.full((1, 48, 7, 7), 100.0)
    out, _ = across_maps(maps, 1, variant.alpha, variant.k)
    assert out[0, :3, 0, 0] == pytest.approx(known, abs=5e-5)
    within, _ = within_map(maps)
    assert within[0, 0, [0, 3], [0, 3]] == pytest.approx((31.8370, 16.5560), abs=5e-5)
