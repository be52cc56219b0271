"""A training that starts from another run's weights."""

import json
from pathlib import Path

import pytest
import torch
from recipes import tiny_recipe
from torch import nn
from torchvision import models
from typer.testing import CliRunner, Result

from alexrep.config import recipes
from alexrep.errors import ConfigError
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.training import frozen, start

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)), prog_name="alexrep")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(tiny_recipe(1))
    return path


@pytest.fixture(scope="module")
def before(data: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of an epoch; read only."""
    run = tmp_path_factory.mktemp("runs") / "before"
    result = train(data, recipe, run)
    assert result.exit_code == 0, result.output
    return run


def train(data: Path, recipe: Path, run: Path, *more: object) -> Result:
    words = ("train", data, "--run", run, "--recipe", recipe, "--device", "cpu")
    return alexrep(*words, *more)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = checkpoint.load(RunFolder(run).checkpoint("last"))[
        "state_dict"
    ]
    return state


FROZEN = ("--set", "schedule.changes=[{epoch=0,weights=0.0,biases=0.0}]")
"""A training that changes no weight."""


def test_a_run_starts_from_the_weights_of_another(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert train(data, recipe, run, "--weights", before, *FROZEN, "--seed", "7").exit_code == 0
    mine, theirs = weights(run), weights(before)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    inputs = json.loads((run / "manifest.json").read_text())["inputs"]
    assert inputs["weights"] == checkpoint.weights_digest(theirs)


def test_layers_start_anew_if_the_recipe_says_so(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    fresh = ("--set", 'start.fresh=["fc8","towers.1.conv1"]')
    run, alone = tmp_path / "run", tmp_path / "alone"
    assert train(data, recipe, run, "--weights", before, *fresh, *FROZEN).exit_code == 0
    assert train(data, recipe, alone, *FROZEN).exit_code == 0
    mine, theirs, drawn = weights(run), weights(before), weights(alone)
    anew = {name for name in mine if torch.equal(mine[name], drawn[name])}
    taken = {name for name in mine if torch.equal(mine[name], theirs[name])}
    assert {"fc8.weight", "fc8.bias", "towers.1.conv1.weight"} <= anew - taken
    assert taken | anew == mine.keys()
    assert "towers.0.conv1.weight" in taken - anew


def test_a_last_layer_for_other_classes_starts_anew(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    classes = ("--set", 'limits.classes=["n00000020","n00000040"]', *FROZEN)
    result = train(data, recipe, tmp_path / "run", "--weights", before, *classes)
    assert result.exit_code == 0, result.output
    assert "fc8 is drawn anew, for 2 classes, not 3\n" in result.stderr
    mine, theirs = weights(tmp_path / "run"), weights(before)
    assert mine["fc8.weight"].shape == (2, 204)
    taken = [name for name in mine if not name.startswith("fc8")]
    assert all(torch.equal(mine[name], theirs[name]) for name in taken)


def test_an_exported_folder_is_started_from(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    assert alexrep("export", before, tmp_path / "out").exit_code == 0
    for source in (tmp_path / "out", tmp_path / "out" / "model.safetensors"):
        chosen = recipes.load(str(recipe), (f"start.weights={source}",))
        assert checkpoint.weights_digest(start._read(chosen)) == checkpoint.weights_digest(
            weights(before)
        )


OTHER = """
base = "demo"
name = "other"
prepared_side = 72
model = { name = "torchvision", arch = "mobilenet_v3_small", side = 64 }
feed = { batch_size = 6 }
limits = { batches = 2 }
start = { frozen = ["features"] }
[schedule]
epochs = 1
changes = [{ epoch = 0, weights = 0.01, biases = 0.01 }]
"""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return torchvision's weights for 1,000 classes beside a recipe that trains the head only."""
    (tmp_path / "other.toml").write_text(OTHER)
    with torch.random.fork_rng(devices=[]):
        network = models.get_model("mobilenet_v3_small", num_classes=1000)
    for buffer in network.buffers():
        buffer.add_(1)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_frozen_layers_and_their_running_statistics_stay(
    data: Path, other: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = train(data, other.with_name("other.toml"), run, "--weights", other)
    assert result.exit_code == 0, result.output
    assert "classifier.3 is drawn anew, for 3 classes, not 1,000\n" in result.stderr
    mine, theirs = weights(run), torch.load(other, weights_only=True)
    same = {name for name in mine if torch.equal(mine[name], theirs[name])}
    assert same == {name for name in mine if name.startswith("features")}
    assert any(name.endswith("running_var") for name in same)
    longer = train(data, other.with_name("other.toml"), run, "--weights", other, "--epochs", "2")
    assert longer.exit_code == 0, longer.output
    assert all(torch.equal(weights(run)[name], theirs[name]) for name in same)


def test_frozen_layers_are_named_by_path_or_last_parts() -> None:
    network = models.resnet18(num_classes=3)
    frozen.freeze(network, ["conv1", "layer4.1"])
    fixed = {name for name, one in network.named_parameters() if not one.requires_grad}
    assert fixed == {"conv1.weight"} | {
        name for name, _ in network.named_parameters() if name.startswith("layer4.1.")
    }
    network.train()
    assert not network.layer4[1].bn1.training
    assert network.layer4[0].bn1.training


def test_frozen_layers_that_are_unknown_or_all_are_refused() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"start.frozen: expected layers of 0, found 'conv9'"):
        frozen.freeze(network, ["conv9"])
    with pytest.raises(ConfigError, match=r"start.frozen: expected a layer that is trained"):
        frozen.freeze(network, ["0"])


def test_the_input_of_torchvisions_weights_is_compared() -> None:
    name = "start.weights=torchvision:mobilenet_v3_small"
    said = start.input_remark(recipes.load("demo", (name,)))
    assert "was trained on pixels from 0 to 1 less the mean colour, 0.485" in said
    kind = '{kind="mean-std",mean=[0.485,0.456,0.406],deviation=[0.229,0.224,0.225]}'
    assert start.input_remark(recipes.load("demo", (name, f"input={kind}"))) == ""


def test_the_input_of_a_runs_weights_is_compared(before: Path) -> None:
    for source in (before, RunFolder(before).checkpoint("last")):
        name = f"start.weights={source}"
        said = start.input_remark(recipes.load("demo", (name, "input={kind='none'}")))
        assert said.endswith("on grey levels less the mean image; this recipe has grey levels")
        assert start.input_remark(recipes.load("demo", (name,))) == ""


def test_a_checkpoint_can_be_named_and_may_have_moved_when_the_run_goes_on(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    run, copy = tmp_path / "run", tmp_path / "elsewhere.pt"
    assert train(data, recipe, run, "--weights", before).exit_code == 0
    copy.write_bytes(RunFolder(before).checkpoint("last").read_bytes())
    assert "nothing to do" in train(data, recipe, run, "--weights", copy).output
    longer = train(data, recipe, run, "--weights", copy, "--epochs", "2")
    assert longer.exit_code == 0, longer.output


def test_other_weights_are_another_run(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    assert train(data, recipe, other, "--seed", "9").exit_code == 0
    assert train(data, recipe, run, "--weights", before).exit_code == 0
    refused = train(data, recipe, run, "--weights", other)
    assert refused.exit_code == 1
    assert "expected inputs.weights = " in refused.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--set", 'start.fresh=["fc8"]'), "start.weights: expected a run or a checkpoint, found"),
        (("--weights", "nowhere"), "nowhere: expected a checkpoint, found no file"),
        (("--weights", "{data}"), "expected a run folder, found a folder of prepared data"),
        (
            ("--set", 'start={weights="{before}",fresh=["fc9"]}'),
            "start.fresh: expected layers of conv1, ",
        ),
        (
            ("--weights", "{before}", "--set", "model.width=0.1"),
            "found towers.0.conv1.weight (2, 3, 11, 11) for (5, 3, 11, 11), towers.0.conv1.bias ",
        ),
        (("--weights", "{before}", "--set", "model.conv6=true"), "no towers.0.conv6.weight "),
        (("--weights", "a", "--set", "start.weights=b"), "a field that nothing else sets"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(
    data: Path, recipe: Path, before: Path, tmp_path: Path, words: tuple[str, ...], wanted: str
) -> None:
    given = [word.replace("{before}", str(before)).replace("{data}", str(data)) for word in words]
    result = train(data, recipe, tmp_path / "run", *given)
    assert result.exit_code in (1, 2)
    assert wanted in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_folder_of_checkpoints_may_be_named_too(before: Path) -> None:
    names = before, before / "checkpoints", before / "checkpoints" / "last.pt"
    chosen = [recipes.load("demo", (f"start.weights={name}",)) for name in names]
    first, *others = (checkpoint.weights_digest(start._read(one)) for one in chosen)
    assert others == [first, first]
