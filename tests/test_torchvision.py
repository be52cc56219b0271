"""torchvision's networks: built, counted, equal to torchvision's own; trained, stopped, resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_runs import drawn_run
from safetensors.torch import load_file
from sessions import stop_at
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models
from typer.testing import CliRunner, Result

from alexrep.compute.precision import AUXILIARY, Network
from alexrep.config.recipe import Compute
from alexrep.config.torchvision import SIDES, TorchvisionModel
from alexrep.errors import ConfigError
from alexrep.models import catalogue, registry, torchvision
from alexrep.models import count as counting
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app

RECIPE = """
base = "demo"
name = "{name}"
prepared_side = 72
model = {{ name = "torchvision", arch = "{name}", side = 64 }}
feed = {{ batch_size = 6 }}
limits = {{ batches = 1 }}
[schedule]
epochs = 4
changes = [{{ epoch = 0, weights = 0.001, biases = 0.002, noise = false }}]
"""
PARAMETERS = {
    "mobilenet_v2": 3_504_872 - 997 * 1281,
    "googlenet": 13_004_888 - 997 * 3 * 1025,
}
"""The published numbers, less those of 997 of 1,000 classes; GoogLeNet has three heads."""
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def build(arch: str, side: int = 64, num_classes: int = 3, **fields: Any) -> nn.Module:
    model = TorchvisionModel(arch=arch, side=side, **fields)
    return registry.build(model, num_classes, seed=1)


@pytest.mark.slow
def test_every_network_is_counted_as_torchvision_publishes_it() -> None:
    entries = list(catalogue.entries("torchvision:*"))
    assert len(entries) >= 80
    for entry in entries:
        arch = entry.name.partition(":")[2]
        published, cost = torchvision.published(arch, entry.model.side), entry.cost()
        # torchvision publishes GoogLeNet without its auxiliary heads, and thousandths of 10^9.
        heads = 6_379_984 if arch == "googlenet" else 0
        assert cost.parameters == published.num_parameters + heads, arch
        assert cost.multiply_adds == pytest.approx(published.multiply_adds, abs=0.6e6), arch


@pytest.mark.parametrize(
    ("arch", "parameters", "fixed", "multiply_adds"),
    [
        ("googlenet", 13_004_888, 15_072, 1_498_376_192),
        ("resnet18", 11_689_512, 9_600, 1_814_073_344),
        ("swin_t", 28_288_354, 0, 4_490_566_656),
        ("vgg11", 132_863_336, 0, 7_609_090_048),
        ("vit_b_32", 88_224_232, 0, 4_409_186_304),
    ],
)
def test_attention_shared_modules_and_heads_are_counted(
    arch: str, parameters: int, fixed: int, multiply_adds: int
) -> None:
    (entry,) = catalogue.entries(arch)
    cost = entry.cost()
    assert (cost.parameters, cost.fixed) == (parameters, fixed)
    assert cost.multiply_adds == multiply_adds


def test_every_network_has_a_source_a_side_and_published_errors() -> None:
    archs = torchvision.names()
    assert len(archs) >= 80
    assert SIDES.keys() <= set(archs)
    for arch in archs:
        model = TorchvisionModel.model_validate({"arch": arch})
        sides = {one.transforms.keywords["crop_size"] for one in models.get_model_weights(arch)}
        assert torchvision.source(arch)
        assert model.side in sides, arch
        published = torchvision.published(arch, model.side)
        assert 0 < published.top5_error < published.top1_error < 0.5, arch


def digest(network: nn.Module) -> str:
    return checkpoint.weights_digest(network.state_dict())


@pytest.mark.parametrize("arch", ["squeezenet1_1", "googlenet"])
def test_the_seed_alone_decides_the_initial_values(arch: str) -> None:
    before = torch.get_rng_state()
    first = digest(build(arch))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    torch.set_num_threads(3)
    assert digest(build(arch)) == first
    model = TorchvisionModel(arch=arch, side=64)
    assert digest(registry.build(model, 3, seed=2)) != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arch": "resnet19"}, r"model.arch: expected one of .*, found 'resnet19'; did you mean"),
        ({"arch": "lenet"}, r"model.arch: expected one of .*, found 'lenet'; .*"),
        ({"arch": "resnet18", "dropout": 0.1}, r"model: expected what .*dropout.*; mend"),
        ({"arch": "mobilenet_v3_small", "arguments": {"drop": 1}}, r"model.arguments: .*'drop'"),
        ({"arch": "convnext_tiny", "dropout": 0.1}, r"model.dropout: .*found 'dropout'; leave"),
        ({"arch": "resnet18", "arguments": {"num_classes": 3}}, r"found 'num_classes'; leave it"),
        ({"arch": "vit_b_32", "side": 100}, r"Input shape indivisible by patch size"),
        ({"arch": "resnet18", "auxiliary_weight": 0.1}, r"auxiliary_weight: expected none, as"),
    ],
)
def test_what_torchvision_does_not_make_is_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        registry.build(TorchvisionModel(**{"side": 64, **fields}), 3, seed=1)
    assert "\n" not in str(raised.value)


def test_a_side_that_leaves_no_maps_is_one_line() -> None:
    with pytest.raises(
        ConfigError, match=r"model.side: expected one that the network .*, found 32 "
    ):
        counting.layers(build("alexnet", side=32), 32)


DENSE = "features.denseblock1.denselayer1"


def test_settings_reach_the_network() -> None:
    assert build("densenet121", dropout=0.3).get_submodule(DENSE).drop_rate == 0.3
    network = build("mobilenet_v2", dropout=0.4, arguments={"width_mult": 0.5})
    assert network.get_submodule("classifier.0").p == 0.4
    assert network.get_parameter("features.0.0.weight").shape[0] == 16
    assert TorchvisionModel.model_validate({"arch": "inception_v3"}).side == 299
    assert TorchvisionModel.model_validate({"arch": "inception_v3", "side": 96}).side == 96


@pytest.mark.parametrize(
    ("arch", "fields", "weight"),
    [
        ("googlenet", {}, 0.3),
        ("inception_v3", {}, 0.4),
        ("googlenet", {"auxiliary_weight": 0.1}, 0.1),
    ],
)
def test_the_heads_count_as_in_their_sources(
    arch: str, fields: dict[str, Any], weight: float
) -> None:
    assert Network(build(arch, 96, **fields), Compute(), CPU).auxiliary_weight == weight


class Narrow(nn.Linear):
    """A layer of 8 units where AlexNet and VGG have 4,096, which take gigabytes."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__(8 if num_in == 4096 else num_in, 8 if num_out == 4096 else num_out)


@pytest.mark.parametrize(
    ("arch", "side", "options"),
    [
        ("alexnet", 64, {}),
        ("vgg11", 32, {}),
        ("googlenet", 64, {"aux_logits": True, "init_weights": False}),
        ("resnet18", 32, {}),
    ],
)
def test_logits_and_gradients_are_those_of_torchvision(
    arch: str, side: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn, "Linear", Narrow)
    ours = build(arch, side, num_classes=5).double().train()
    theirs = models.get_model(arch, weights=None, num_classes=5, **options).double().train()
    theirs.load_state_dict(ours.state_dict())
    images = torch.linspace(0, 99, 4 * 3 * side**2, dtype=torch.float64).sin()
    images, labels = images.view(4, 3, side, side), torch.tensor([0, 3, 2, 2])
    torch.manual_seed(3)  # of dropout
    network = Network(ours, Compute(), CPU)
    logits, *heads = network.outputs(images)
    losses = [functional.cross_entropy(out, labels) for out in (logits, *heads)]
    (losses[0] + network.auxiliary_weight * sum(losses[1:])).backward()
    torch.manual_seed(3)
    given = theirs(images)
    expected, *others = (given,) if isinstance(given, Tensor) else given
    loss = functional.cross_entropy(expected, labels)
    for head in others:
        loss = loss + 0.3 * functional.cross_entropy(head, labels)
    loss.backward()
    assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12)
    for name, parameter in ours.named_parameters():
        gradient = theirs.get_parameter(name).grad
        assert parameter.grad is not None
        assert gradient is not None
        assert torch.allclose(parameter.grad, gradient, rtol=1e-7, atol=1e-11), name


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


def export(arch: str, folder: Path) -> Result:
    settings = ("model.name=torchvision", f"model.arch={arch}", "model.side=64")
    run = drawn_run(folder / "run", "demo", *settings).path
    words = ["export", str(run), str(folder / "out")]
    return CliRunner().invoke(app, words, prog_name="alexrep")


@pytest.mark.slow
def test_a_network_with_heads_and_batch_normalisation_is_exported(tmp_path: Path) -> None:
    # The command itself computes with what it has written, and compares.
    assert export("googlenet", tmp_path).exit_code == 0
    weights = load_file(tmp_path / "out/model.safetensors")
    assert "conv1.bn.running_var" in weights


def test_a_network_that_parts_its_maps_is_not_exported(tmp_path: Path) -> None:
    result = export("shufflenet_v2_x0_5", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("alexrep: the network: expected operators of torch.ops.aten")
    assert result.stderr.count("\n") == 1


def test_mnasnet_is_loaded_from_plain_data_which_has_no_versions_of_layers() -> None:
    network = build("mnasnet0_5")
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    checkpoint.lay(state, network)
    assert checkpoint.weights_digest(network.state_dict()) == checkpoint.weights_digest(state)
    with pytest.raises(RuntimeError, match="Missing key"):
        checkpoint.lay({}, network)


def test_its_outputs_in_training_are_the_logits_and_those_of_its_heads() -> None:
    network = Network(build("googlenet"), Compute(), CPU).train()
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


@pytest.mark.parametrize(("own", "weight"), [(None, AUXILIARY), (0.4, 0.4)])
def test_a_network_may_say_what_its_heads_count(own: float | None, weight: float) -> None:
    model = TwoHeads()
    if own is not None:
        model.auxiliary_weight = own  # type: ignore[assignment]
    assert Network(model, Compute(), CPU).auxiliary_weight == weight


def test_layers_that_only_training_has_come_last_and_have_no_output() -> None:
    rows = counting.layers(build("googlenet"), 64)
    assert rows[0].name == "conv1.conv"
    heads = [row for row in rows if row.name.startswith("aux")]
    assert rows[-len(heads) :] == heads
    assert rows[-len(heads) - 1].shape == (3,)
    assert {(row.shape, row.cost.multiply_adds) for row in heads} == {((), 0)}


def test_a_part_that_gives_more_than_a_tensor_counts_by_its_first() -> None:
    rows = counting.layers(Attends(), 2)
    assert [(row.name, row.shape) for row in rows] == [
        ("attention", (4, 3)),
        ("last", (2,)),
        ("attention.out_proj", ()),
    ]
    # Four pixels: three inputs and an output of 3 x 3 weights, and two products of 4 x 4 x 3.
    assert rows[0].cost.multiply_adds == 4 * 4 * 9 + 2 * 4 * 4 * 3


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
