"""A training that starts from another run's weights."""

import json
from pathlib import Path

import pytest
import torch
from recipes import tiny_recipe
from typer.testing import CliRunner, Result

from alexrep.config.recipe import Start
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.training import start

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


def test_a_new_last_layer_has_as_many_outputs_as_the_data_has_classes(
    data: Path, recipe: Path, before: Path, tmp_path: Path
) -> None:
    classes = ("--set", 'limits.classes=["n00000020","n00000040"]')
    refused = train(data, recipe, tmp_path / "run", "--weights", before, *classes)
    assert refused.exit_code == 2
    assert "fc8.weight (3, 204) for (2, 204), fc8.bias (3,) for (2,); take" in refused.stderr
    assert not (tmp_path / "run").exists()
    anew = ("--set", 'start.fresh=["fc8"]')
    assert (
        train(data, recipe, tmp_path / "run", "--weights", before, *classes, *anew).exit_code == 0
    )
    assert weights(tmp_path / "run")["fc8.weight"].shape == (2, 204)


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
    first, *others = (checkpoint.weights_digest(start._read(Start(weights=str(n)))) for n in names)
    assert others == [first, first]
