"""What a recipe needs of its data: side of the images, mean image, colour axes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from recipes import tiny_recipe
from typer.testing import CliRunner, Result

from alexrep.config import recipes
from alexrep.errors import ConfigError, ManifestError
from alexrep.feed.dataset import open_data
from alexrep.runs import contents, trained
from alexrep.runs.contents import NothingToShow
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.training.request import require_runnable

PLAIN = ("--set", "feed.mean=none", "--set", "noise.scale=0")
"""Neither mean image nor colour noise."""

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)), prog_name="alexrep")


def done(*words: object) -> str:
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_recipe(1))
    return path


@pytest.fixture
def packed(data: Path, tmp_path: Path) -> Path:
    """Return a data folder without mean image and colour axes."""
    own = shutil.copytree(data, tmp_path / "data")
    for path in (*own.glob("mean.*"), *own.glob("pca.*")):
        path.unlink()
    return own


def train(data: Path, recipe: Path, run: Path, *more: str) -> Result:
    return alexrep("train", data, "--run", run, "--recipe", recipe, "--device", "cpu", *more)


@pytest.mark.parametrize(
    ("patch", "rest"),
    [("73", ""), ("72", ", or train on these all the same with --set prepared_side=72")],
)
def test_images_of_another_side_are_refused_with_the_command_that_prepares_them(
    data: Path, tmp_path: Path, patch: str, rest: str
) -> None:
    words = ("--run", tmp_path / "run", "--recipe", "demo", "--set", f"model.side={patch}")
    result = alexrep("train", data, *words)
    assert result.exit_code == 2
    assert result.stderr == (
        f"alexrep: {data}: images for recipe demo: expected side 128, found 72; prepare a folder "
        f"with alexrep preprocess --side 128{rest}\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("side", ["72", "none"])
def test_they_are_taken_if_the_recipe_is_told_so(data: Path, side: str) -> None:
    chosen = recipes.load("demo", ("model.side=67", f"prepared_side={side}"))
    with open_data(data) as training_data:
        require_runnable(chosen, training_data)


def test_small_images_are_no_imagenet(data: Path) -> None:
    with (
        open_data(data) as training_data,
        pytest.raises(ConfigError, match="cifar10-18pct: expected side 32, found 72"),
    ):
        require_runnable(recipes.load("cifar10-18pct"), training_data)


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_names_the_side_that_it_is_made_for(name: str) -> None:
    chosen = recipes.load(name)
    assert chosen.prepared_side is not None
    assert chosen.model.side <= chosen.prepared_side


def test_a_run_goes_on_when_only_the_side_that_it_names_has_changed(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert train(data, recipe, run, "--set", "prepared_side=none").exit_code == 0
    assert "nothing to do" in train(data, recipe, run).output
    assert train(data, recipe, run, "--epochs", "2").exit_code == 0


@pytest.mark.parametrize(
    ("settings", "stages"),
    [
        ((), ("mean", "pca")),
        (("noise.scale=0",), ("mean",)),
        (("feed.mean=none",), ("pca",)),
        (("feed.mean=none", "noise.scale=0"), ()),
        (("input.kind=none", "noise.scale=0"), ()),
        (("input.kind=mean-colour", "noise.scale=0"), ("mean",)),
        (("input.kind=mean-std", "noise.scale=0"), ("mean", "pca")),
        (("input.kind=mean-std", "input.mean=[0.5,0.5,0.5]", "noise.scale=0"), ("pca",)),
        (("input.kind=mean-std", "input.deviation=[1,1,1]", "noise.scale=0"), ("mean",)),
    ],
)
def test_a_recipe_needs_the_statistics_that_it_uses(
    settings: tuple[str, ...], stages: tuple[str, ...]
) -> None:
    assert recipes.load("alexnet-2012", settings).statistics == stages


@pytest.mark.parametrize("stage", ["mean", "pca"])
def test_what_a_recipe_uses_must_be_there(packed: Path, stage: str) -> None:
    with pytest.raises(ManifestError, match=f"run alexrep {stage} first"):
        open_data(packed, statistics=(stage,))


def test_statistics_that_are_not_used_change_no_pixel(packed: Path) -> None:
    chosen = recipes.load("demo", ("model.side=67", "feed.mean=none", "noise.scale=0"))
    with open_data(packed, statistics=chosen.statistics) as training_data:
        inputs = training_data.inputs(chosen)
        assert set(training_data.digests) == {"shards"}
    assert not inputs.mean.any()
    assert not inputs.noise.any()


@pytest.mark.slow
def test_a_recipe_that_uses_neither_trains_is_scored_and_drawn_without_them(
    packed: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert train(packed, recipe, run, *PLAIN).exit_code == 0
    done("eval", run, "--data", packed, "--device", "cpu")
    drawn = done("plot", run)
    lacking = re.findall(
        r"^not drawn: (.*) \(.*found none; the recipe uses none\)$", drawn, re.MULTILINE
    )
    assert lacking == ["mean-image", "colour-axes"]
    assert not (run / "mean.npy").exists()
    inputs = trained.load(RunFolder(run).checkpoint("last")).inputs()
    assert not inputs.mean.any()
    for read in (contents.read_mean, contents.read_colour_axes):
        with pytest.raises(NothingToShow, match="the recipe uses none"):
            read(run)


@pytest.mark.slow
def test_it_trains_to_the_same_bits_with_them_there(
    data: Path, packed: Path, recipe: Path, tmp_path: Path
) -> None:
    ends = []
    for number, folder in enumerate((data, packed)):
        run = tmp_path / str(number)
        assert train(folder, recipe, run, *PLAIN).exit_code == 0
        ends.append(json.loads((run / "manifest.json").read_text()))
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_a_run_whose_plan_names_statistics_that_it_did_not_use_is_still_the_same(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert train(data, recipe, run, "--set", "noise.scale=0").exit_code == 0
    for name in ("manifest.json", "plan.json"):
        path = run / name
        record = json.loads(path.read_text())
        assert set(record["inputs"]) == {"shards", "mean", "classes"}
        record["inputs"]["pca"] = "0" * 64  # as written by versions that always named it
        path.write_text(json.dumps(record))
    (run / "manifest.sha256").unlink()  # these had none
    again = train(data, recipe, run, "--set", "noise.scale=0")
    assert "nothing to do" in again.output
    assert train(data, recipe, run, "--set", "noise.scale=0", "--epochs", "2").exit_code == 0


def test_a_mean_of_zeros_is_none(packed: Path) -> None:
    with open_data(packed, statistics=()) as training_data:
        assert training_data.mean.dtype == np.float32
        assert training_data.mean.shape == (72, 72, 3)
        assert (training_data.axes == np.eye(3)).all()
        assert not training_data.stds.any()
