"""Our networks since 2012, trained, stopped and gone on with by the ordinary command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sessions import stop_at
from torch import nn
from typer.testing import CliRunner, Result

from alexrep.config import recipes
from alexrep.models import registry
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.training.groups import parameter_groups

RECIPE = """
base = "demo"
name = "own"
prepared_side = 72
feed = {{ batch_size = 6, reflect = false }}
noise = {{ scale = 0.0, divide = false }}
limits = {{ batches = 1, steps = 32 }}
[model]
name = {model}
[schedule]
epochs = 1
changes = [{{ epoch = 0, weights = {rate}, biases = {rate} }}]
"""
MODELS = {
    "alexnet-2014": """"alexnet-2014"
side = 64
width = 0.05
conv1 = [11, 2]
dropout_rate = 0.1
initialisation = "torch"
""",
    "resnet": """"resnet"
side = 32
width = 8
repeats = [1, 1]
""",
    "resnet-2016": """"resnet"
side = 32
width = 4
repeats = [1, 1]
stem = "3x3"
block = "bottleneck"
preactivation = true
dropout_rate = 0.1
""",
    "mobilenet-v1": """"mobilenet-v1"
side = 64
width = 0.1
""",
    "tiny-resnet": """"tiny-resnet"
side = 32
width = 8
levels = [1, 1]
""",
    "tiny-inception": """"tiny-inception"
side = 16
width = 8
levels = [1, 1, 1]
""",
}
"""Small forms of each."""
RATES = {"alexnet-2014": 0.003}
"""Where it is not 0.05, as without normalisations."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes the recipe of a network."""

    def write(name: str) -> Path:
        path = tmp_path / "own.toml"
        path.write_text(RECIPE.format(model=MODELS[name], rate=RATES.get(name, 0.05)))
        return path

    return write


def train(data: Path, recipe: Path, folder: Path, *more: str) -> Result:
    words = ["train", data, "--run", folder, "--recipe", recipe, "--device", "cpu", *more]
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("name", MODELS)
def test_normalisations_and_biases_have_groups_of_their_own_and_do_not_decay(
    recipe: Callable[[str], Path], name: str
) -> None:
    settings = recipes.load(str(recipe(name)))
    network = registry.build(settings.model, 3, seed=1)
    groups = parameter_groups(network, settings.optimiser)
    assert all(len(group["params"]) == 1 for group in groups)
    decaying = {group["layer"] for group in groups if group["weight_decay"]}
    kinds = {layer: type(network.get_submodule(layer)) for layer in decaying}
    assert set(kinds.values()) == {nn.Conv2d, nn.Linear}
    assert {group["kind"] for group in groups if group["weight_decay"]} == {"weights"}
    assert len(kinds) == sum(isinstance(part, (nn.Conv2d, nn.Linear)) for part in network.modules())


def test_a_network_without_a_head_is_not_trained(
    data: Path, recipe: Callable[[str], Path], tmp_path: Path
) -> None:
    path = recipe("tiny-resnet")
    result = train(data, path, tmp_path / "run", "--set", "model.head=false")
    assert result.exit_code == 2
    assert "model.head: expected true, found false; without a head" in result.output
    assert not (tmp_path / "run").exists()
    shown = CliRunner().invoke(app, ["summary", str(path), "--set", "model.head=false"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[-2].split()[0] != "head.fc"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_it_overfits_a_batch_and_stopped_ends_with_the_same_bits(
    data: Path,
    recipe: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    path = recipe(name)
    assert train(data, path, tmp_path / "whole").exit_code == 0
    stop_at(monkeypatch, 9)  # in the epoch
    codes = [train(data, path, tmp_path / "stopped").exit_code for _ in range(2)]
    assert codes == [75, 0]
    whole, stopped = (RunFolder(tmp_path / which) for which in ("whole", "stopped"))
    assert stopped.manifest.read_bytes() == whole.manifest.read_bytes()
    states = [checkpoint.load(run.checkpoint("last"))["state_dict"] for run in (whole, stopped)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    rows = [json.loads(line) for line in whole.log.read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "step"]
    assert losses[-1] < 0.6 * losses[0]
