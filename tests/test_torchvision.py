"""torchvision's networks, registered as a network of one's own is: trained, stopped, resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torchvision
from sessions import stop_at
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

from alexrep.compute.precision import AUXILIARY, Network
from alexrep.config import model as networks
from alexrep.config.model import Model
from alexrep.config.recipe import Compute
from alexrep.models import count as counting
from alexrep.models import registry
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app

RECIPE = """
base = "demo"
name = "{name}"
prepared_side = 72
model = {{ name = "{name}", side = 64 }}
feed = {{ batch_size = 6 }}
[schedule]
epochs = 2
changes = [{{ epoch = 0, weights = 0.001, biases = 0.002 }}]
"""
PARAMETERS = {
    "resnet18": 11_689_512 - 997 * 513,
    "googlenet": 13_004_888 - 997 * 3 * 1025,
}
"""The published numbers, less those of 997 of 1,000 classes; GoogLeNet has three heads."""

pytestmark = pytest.mark.usefixtures("one_thread")


class ResNet18Model(Model):
    """A network with normalisations over the batch."""

    name: Literal["resnet18"]


class GoogLeNetModel(Model):
    """A network with two auxiliary heads in training, and dropout of torch's."""

    name: Literal["googlenet"]


def drawn(seed: int, build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def resnet18(_: Model, num_classes: int, seed: int) -> nn.Module:
    make = torchvision.models.resnet18
    return drawn(seed, lambda: make(weights=None, num_classes=num_classes))


def googlenet(_: Model, num_classes: int, seed: int) -> nn.Module:
    make = torchvision.models.googlenet
    settings: dict[str, Any] = {"aux_logits": True, "init_weights": False}
    return drawn(seed, lambda: make(weights=None, num_classes=num_classes, **settings))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register both networks for the time of a test."""
    monkeypatch.setattr(networks.KINDS, "classes", dict(networks.KINDS.classes))
    monkeypatch.setattr(registry, "BUILDERS", dict(registry.BUILDERS))
    for settings, build in (ResNet18Model, resnet18), (GoogLeNetModel, googlenet):
        networks.register(settings)
        registry.register(settings, build)


@pytest.fixture
def train(data: Path, tmp_path: Path) -> Callable[[str, Path], int]:
    """Return what trains a network in a folder, and its exit code."""

    def run(name: str, folder: Path) -> int:
        recipe = tmp_path / f"{name}.toml"
        recipe.write_text(RECIPE.format(name=name))
        words = ["train", data, "--run", folder, "--recipe", recipe, "--device", "cpu"]
        return CliRunner().invoke(app, [str(word) for word in words]).exit_code

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_it_trains_and_stopped_in_an_epoch_ends_with_the_same_bits(
    train: Callable[[str, Path], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert train(name, tmp_path / "whole") == 0
    stop_at(monkeypatch, 2, 5, 9)  # in the first validation, in both epochs
    codes = [train(name, tmp_path / "stopped") for _ in range(4)]
    assert codes == [75, 75, 75, 0]
    whole, stopped = (RunFolder(tmp_path / which) for which in ("whole", "stopped"))
    assert stopped.manifest.read_bytes() == whole.manifest.read_bytes()
    states = [checkpoint.load(run.checkpoint("last"))["state_dict"] for run in (whole, stopped)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    record = json.loads(whole.manifest.read_text())
    assert record["counts"]["parameters"] == PARAMETERS[name]


def test_its_outputs_in_training_are_the_logits_and_those_of_its_heads() -> None:
    network = Network(googlenet(GoogLeNetModel(name="googlenet"), 3, 1), Compute(), CPU).train()
    assert [tuple(logits.shape) for logits in network.outputs(torch.randn(2, 3, 64, 64))] == [
        (2, 3)
    ] * 3
    network.eval()
    assert [tuple(logits.shape) for logits in network.outputs(torch.randn(2, 3, 64, 64))] == [
        (2, 3)
    ]


class TwoHeads(nn.Module):
    """A network with an auxiliary head."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.beside = nn.Linear(12, 3), nn.Linear(12, 3)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        flat = images.flatten(1)
        return (self.main(flat), self.beside(flat)) if self.training else self.main(flat)


CPU = torch.device("cpu")


@pytest.mark.parametrize(("own", "weight"), [(None, AUXILIARY), (0.4, 0.4)])
def test_a_network_may_say_what_its_heads_count(own: float | None, weight: float) -> None:
    model = TwoHeads()
    if own is not None:
        model.auxiliary_weight = own  # type: ignore[assignment]
    assert Network(model, Compute(), CPU).auxiliary_weight == weight


def test_the_layers_of_a_network_with_heads_are_counted() -> None:
    rows = counting.layers(googlenet(GoogLeNetModel(name="googlenet"), 3, 1), 64)
    assert rows[0].name == "conv1.conv"
    assert rows[-1].shape == (3,)


def test_a_part_that_gives_more_than_a_tensor_counts_by_its_first() -> None:
    rows = counting.layers(Attends(), 2)
    assert [(row.name, row.shape) for row in rows][:1] == [("attention", (4, 3))]


class Attends(nn.Module):
    """Attention over four pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.last = nn.MultiheadAttention(3, 1, batch_first=True), nn.Linear(12, 2)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(2).transpose(1, 2)
        attended, _ = self.attention(pixels, pixels, pixels)
        logits: Tensor = self.last(functional.relu(attended.flatten(1)))
        return logits
