"""The run folder: the names in it, and the error for a folder that is no run."""

from pathlib import Path

import pytest

from alexrep.config import recipes
from alexrep.errors import ConfigError, DataError, ManifestError
from alexrep.runs.folder import RunFolder


def test_every_file_has_its_place() -> None:
    folder = RunFolder(Path("runs/first"))
    assert folder.recipe == Path("runs/first/recipe.toml")
    assert folder.log == Path("runs/first/log.jsonl")
    assert folder.manifest == Path("runs/first/manifest.json")
    assert folder.plan == Path("runs/first/plan.json")
    assert folder.checkpoint("best") == Path("runs/first/checkpoints/best.pt")
    assert folder.result("val", "ten-crop") == Path("runs/first/results/val-ten-crop.json")


def test_the_recipe_that_ran_is_read_back(tmp_path: Path) -> None:
    chosen = recipes.load("demo", ("seed=5",))
    (tmp_path / "recipe.toml").write_text(recipes.dump(chosen))
    assert RunFolder(tmp_path).read_recipe() == chosen


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_folder_that_is_no_runs_is_named(tmp_path: Path, name: str) -> None:
    found = "no such folder" if name == "absent" else "no recipe.toml"
    wanted = f"expected a run folder, found {found}; name a folder made by alexrep train"
    with pytest.raises(DataError, match=wanted):
        RunFolder(tmp_path / name).read_recipe()


def test_a_recipe_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[model\n")
    with pytest.raises(ConfigError, match=r"recipe\.toml: expected TOML, found "):
        RunFolder(tmp_path).read_recipe()


@pytest.mark.parametrize("beside", ["train", "run"])
def test_a_run_that_has_not_finished_is_named_whatever_lies_beside_it(
    tmp_path: Path, beside: str
) -> None:
    (tmp_path / beside).mkdir()
    with pytest.raises(ManifestError, match="expected a finished train, found no manifest"):
        RunFolder(tmp_path / "run").read_manifest()


@pytest.mark.parametrize("name", ["images", "shards"])
def test_prepared_data_in_the_place_of_a_run_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "manifest.json").touch()
    with pytest.raises(DataError, match="expected a run folder, found a folder of prepared data"):
        RunFolder(tmp_path).read_recipe()
