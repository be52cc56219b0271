"""A run made before recipes and results got their present format is still read.

tests/data/old-run.tar.xz: `cifar10-80sec` at a tenth of its width for two epochs on 24 made
images, scored by the centre and by ten crops. Its recipe names every field of the time, those
that its network does not have among them.
"""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alexrep.runs import contents, trained
from alexrep.runs.folder import RunFolder
from alexrep.stages import app

ARCHIVE = Path(__file__).parent / "data" / "old-run.tar.xz"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "run"


def alexrep(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)), prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_show_and_list_tell_what_it_came_to(run: Path) -> None:
    shown: dict[str, Any] = json.loads(alexrep("runs", "show", run, "--json"))
    assert (shown["recipe"], shown["state"]) == ("cifar10-80sec", "finished")
    assert [row["epoch"] for row in shown["rows"]] == [0, 1, 2]
    assert {name: result["top1_error"] for name, result in shown["results"].items()} == {
        "val-centre": 0.5,
        "val-ten-crop": 0.5,
    }
    assert shown["network"]["parameters"] == 1508
    assert "made by 0.1.0" in alexrep("runs", "list", run)


def test_a_copy_differs_in_nothing(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    assert alexrep("runs", "diff", run, tmp_path / "copy").startswith("equal recipes\n")


def test_its_table_is_written_as_it_was(run: Path) -> None:
    before = (run / "log.csv").read_bytes()
    alexrep("runs", "csv", run)
    assert (run / "log.csv").read_bytes() == before


def test_its_checkpoints_become_networks(run: Path) -> None:
    for which in ("last", "best"):
        model = trained.load(RunFolder(run).checkpoint(which)).model()
        assert sum(parameter.numel() for parameter in model.parameters()) == 1508


@pytest.mark.slow
def test_its_pictures_are_drawn(run: Path) -> None:
    drawn = alexrep("plot", run)
    for name in ("curves", "kernels", "predictions", "mean-image", "colour-axes"):
        assert f"{name}: {run}/plots/{name}.png" in drawn


def test_its_result_to_show_is_that_of_ten_crops_with_its_predictions(run: Path) -> None:
    scored = contents.read_scored(run)
    assert (scored.path.name, scored.result.version) == ("val-ten-crop.json", 1)
    predictions = scored.predictions
    is_right = predictions.top5[:, 0] == predictions.labels
    assert scored.result.top1_error == 1 - is_right.mean()


def test_looking_at_it_changes_nothing(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    alexrep("runs", "show", run)
    alexrep("runs", "diff", run, run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
