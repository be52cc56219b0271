"""A user's own network and update rule: one file each, and a recipe."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep.config import departures, recipes
from alexrep.config import model as networks
from alexrep.config import optimiser as rules
from alexrep.errors import ConfigError
from alexrep.models import registry
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.training import optimiser as builders

RECIPE = """
base = "demo"
name = "own"
model = { name = "tiny", side = 64 }
optimiser = { layer_decays = { conv2 = 0.01 } }
feed = { batch_size = 4 }
[schedule]
epochs = 2
changes = [
    { epoch = 0, weights = 0.01, biases = 0.02 },
    { epoch = 1, layers = ["norm1"], weights = 0.0, biases = 0.0 },
]
"""

SIDE = ("--set", "prepared_side=72")
"""The tests' images are smaller than those of the demo."""

Add = Callable[[str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Return a function that imports an example from its own package; unregister it afterwards."""
    tables = (networks.KINDS, rules.KINDS)
    for kinds in tables:
        monkeypatch.setattr(kinds, "classes", dict(kinds.classes))
    for module in (registry, builders):
        monkeypatch.setattr(module, "BUILDERS", dict(module.BUILDERS))
    package = tmp_path / "packages" / "someone"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))

    def imported(name: str) -> None:
        shutil.copy(Path(__file__).with_name(f"{name}.py"), package)
        importlib.invalidate_caches()
        importlib.import_module(f"someone.{name}")

    yield imported
    for name in [name for name in sys.modules if name.partition(".")[0] == "someone"]:
        del sys.modules[name]


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "own.toml"
    path.write_text(RECIPE)
    return str(path)


def alexrep(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words), prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result


def test_a_network_is_unknown_before_it_is_registered(recipe: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.name: expected one of .*, found 'tiny'"):
        recipes.load(recipe)


def test_settings_that_nothing_builds_are_one_line(add: Add, recipe: str) -> None:
    add("example_network")
    del registry.BUILDERS["tiny"]
    with pytest.raises(ConfigError, match=r"model\.name: .*found 'tiny'; register what builds it"):
        registry.build(recipes.load(recipe).model, 3, seed=1)


def test_a_name_is_registered_once(add: Add) -> None:
    add("example_network")
    with pytest.raises(ValueError, match=r"TinyModel.name: expected new names, found 'tiny'"):
        networks.register(networks.KINDS.classes["tiny"])


def test_the_new_network_has_a_summary(add: Add, recipe: str) -> None:
    add("example_network")
    document = json.loads(alexrep("summary", recipe, "--classes", "3", "--json").stdout)
    assert [layer["name"] for layer in document["layers"]] == [
        *("conv1", "norm1", "conv2", "norm2", "pool2", "fc3")
    ]
    assert document["total"]["parameters"] == 8 * 75 + 16 + 16 * 72 + 32 + 16 * 3 + 3
    assert document["departures"] == ["another network: tiny; net 145: alexnet"]


def test_the_new_network_is_trained_and_scored(
    add: Add, recipe: str, data: Path, tmp_path: Path
) -> None:
    add("example_network")
    run = tmp_path / "run"
    alexrep("train", str(data), "--run", str(run), "--recipe", recipe, "--device", "cpu", *SIDE)
    assert "nothing to do" in (
        alexrep("train", str(data), "--run", str(run), "--recipe", recipe, *SIDE).stdout
    )
    alexrep("eval", str(run), "--data", str(data), "--split", "val")
    assert "another network: tiny" in alexrep("runs", "show", str(run)).stdout
    content = checkpoint.load(RunFolder(run).checkpoint("last"))
    rates = {
        f"{group['layer']} {group['kind']}": (group["rate"], group["weight_decay"])
        for group in content["optimizer"]["param_groups"]
    }
    assert rates == {
        "conv1 weights": (0.01, 0.0005),
        "norm1 weights": (0.0, 0.0),
        "norm1 biases": (0.0, 0.0),
        "conv2 weights": (0.01, 0.01),
        "norm2 weights": (0.01, 0.0),
        "norm2 biases": (0.02, 0.0),
        "fc3 weights": (0.01, 0.0005),
        "fc3 biases": (0.02, 0.0),
    }


def test_the_new_rule_trains(add: Add, data: Path, tmp_path: Path) -> None:
    add("example_optimiser")
    path, run = tmp_path / "own.toml", tmp_path / "run"
    path.write_text(
        RECIPE.replace("tiny", "cifar10-80sec").replace("conv2 = 0.01", "fc4 = 0.01")
        .replace("norm1", "conv1").replace("optimiser = {", 'optimiser = { name = "nadam",')
    )  # fmt: skip
    alexrep("train", str(data), "--run", str(run), "--recipe", str(path), "--device", "cpu", *SIDE)
    content = checkpoint.load(RunFolder(run).checkpoint("last"))
    groups = {(g["layer"], g["kind"]): g for g in content["optimizer"]["param_groups"]}
    assert (groups["fc4", "weights"]["lr"], groups["fc4", "weights"]["weight_decay"]) == (0.01,) * 2
    assert groups["conv1", "weights"]["lr"] == 0
    assert all("exp_avg_sq" in state for state in content["optimizer"]["state"].values())


def test_a_new_rule_is_a_departure_in_its_own_fields(add: Add) -> None:
    add("example_optimiser")
    chosen = recipes.load("alexnet-2012", ("optimiser.name=nadam",))
    assert departures.of(chosen) == [
        "update rule: nadam; net 145: momentum-2012",
        "mean of squares kept: 0.999; net 145: none",
        "momentum: none; net 145: 0.9",
    ]
