"""Sets of other classes: class folders without train, scored by the classes that both have."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import arithmetic, encode
from recipes import tiny_recipe
from typer.testing import CliRunner, Result

from alexrep.runs import results
from alexrep.stages import app

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def done(*words: object) -> Result:
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    return result


def folders(raw: Path, names: list[str], num: int = 3) -> Path:
    """Write val/<name> with a few images each."""
    for index, name in enumerate(names):
        (raw / "val" / name).mkdir(parents=True)
        for number in range(num):
            image = encode(arithmetic(90, 120, blue=40 + 80 * index + number))
            (raw / "val" / name / f"{number}.JPEG").write_bytes(image)
    return raw


def packed(raw: Path, data: Path) -> Path:
    done("preprocess", raw, data, "--edition", "folder", "--side", "72")
    done("pack", data)
    return data


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on the three classes of the tiny edition."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.toml").write_text(tiny_recipe(2))
    done("train", data, "--run", folder / "run", "--recipe", folder / "tiny.toml")
    return folder / "run"


def test_only_the_classes_that_both_have_compete(run: Path, tmp_path: Path) -> None:
    raw = folders(tmp_path / "raw", ["n00000020", "n00000040", "n99999999"])
    other = packed(raw, tmp_path / "other")
    refused = alexrep("eval", run, "--data", other)
    assert refused.exit_code == 1
    assert refused.stderr.endswith("or take the classes that both have with --subset\n")
    words = ("eval", run, "--data", other, "--subset", "--all-probabilities")
    result = json.loads(done(*words, "--json").stdout)
    assert result["wnids"] == ["n00000020", "n00000040"]
    assert (result["num_images"], result["top5_error"]) == (6, 0.0)
    (path,) = run.glob("results/*subset-other.json")
    kept = results.read_scored(path).predictions
    assert sorted(kept.labels) == [0, 0, 0, 2, 2, 2]
    assert kept.all_probabilities is not None
    assert (kept.all_probabilities[:, 1] == 0).all()
    assert np.allclose(kept.all_probabilities.sum(axis=1), 1, atol=2e-3)
    assert set(kept.top5[:, 0]) <= {0, 2}
    assert "val, centre, 2 classes: " in done(*words).stdout


def test_folders_that_are_numbers_are_indices_of_the_runs_classes(
    run: Path, tmp_path: Path
) -> None:
    other = packed(folders(tmp_path / "raw", ["0", "1", "2"]), tmp_path / "numbered")
    result = json.loads(done("eval", run, "--data", other, "--subset", "--json").stdout)
    assert result["wnids"] == ["n00000020", "n00000030", "n00000040"]
    assert result["num_images"] == 9


def test_data_without_any_class_of_the_run_is_refused(run: Path, tmp_path: Path) -> None:
    other = packed(folders(tmp_path / "raw", ["cat", "dog"]), tmp_path / "foreign")
    for words in ((), ("--subset",)):
        refused = alexrep("eval", run, "--data", other, *words)
        assert refused.exit_code == 1
        assert "the 3 classes that" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert "--subset" not in alexrep("eval", run, "--data", other).stderr


def test_class_folders_without_train_have_to_be_asked_for_and_cannot_be_trained_on(
    tmp_path: Path,
) -> None:
    raw = folders(tmp_path / "raw", ["n00000020", "n00000040"])
    guessed = alexrep("preprocess", raw, tmp_path / "data", "--side", "72")
    assert guessed.exit_code == 1
    other = packed(raw, tmp_path / "data")
    for words in (
        ("mean", other),
        ("train", other, "--run", tmp_path / "run", "--recipe", "demo"),
    ):
        refused = alexrep(*words)
        assert refused.exit_code in (1, 2)
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
        assert ": expected " in refused.stderr
