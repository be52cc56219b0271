"""A run's result on a split: what it says, and when it may be said again."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alexrep.config import recipes
from alexrep.errors import DataError, ManifestError
from alexrep.evaluation import text
from alexrep.evaluation.evaluate import evaluate
from alexrep.evaluation.task import Task, find, num_images, score
from alexrep.feed.batches import Reader
from alexrep.feed.dataset import open_data
from alexrep.runs import checkpoint, trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Result, sheet_rows
from alexrep.shards.read import open_split
from alexrep.training import run as training
from alexrep.training.request import Request, Resources

CPU = torch.device("cpu")
SETTINGS = (
    "model={side=67,width=0.05,std_factor=4.5}",
    "feed.batch_size=4",
    "schedule={epochs=5,changes=[{epoch=0,weights=0.01,biases=0.02}]}",
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    path = tmp_path_factory.mktemp("runs") / "run"
    chosen = recipes.load("demo", SETTINGS)
    with closing(open_data(data)) as held:
        training.lead(Request(chosen, held, path, Resources(CPU, 2)), lambda: None)
    return path


@pytest.fixture
def task(trained_run: Path, data: Path, tmp_path: Path) -> Task:
    run = shutil.copytree(trained_run, tmp_path / "run")
    return Task(RunFolder(run), data, "val", "ten-crop", "last")


def scored(task: Task) -> Result:
    return score(task, CPU, threads=2, batch_size=3, done=lambda num: None)


def arrays(task: Task) -> dict[str, Any]:
    path = task.run.result(task.split, task.views).with_suffix(".npz")
    with np.load(path, allow_pickle=False) as held:
        return dict(held)


def exchange_a_class(task: Task) -> None:
    """Have both checkpoints know another class in the place of the second one."""
    for which in ("last", "best"):
        content = checkpoint.load(task.run.checkpoint(which))
        content["classes"][1]["wnid"] = "n00000031"
        del content["format_version"]
        checkpoint.save(task.run.checkpoint(which), content)


def packed_anew(task: Task, other: Path) -> Path:
    """Copy the data with another record of its shards."""
    shutil.copytree(task.data, other)
    record = json.loads((other / "shards" / "manifest.json").read_text())
    record["program"] = "0.0"
    (other / "shards" / "manifest.json").write_text(json.dumps(record))
    return other


def test_the_result_is_that_of_the_checkpoint_on_the_split(task: Task) -> None:
    content = checkpoint.load(task.run.checkpoint("last"))
    with closing(open_split(task.data, "val")) as split:
        model = trained.model_of(content, task.data)
        inputs = trained.inputs_of(content, task.data)
        scores, _ = evaluate(model, split, inputs, "ten-crop", threads=1, batch_size=3)
    found = scored(task)
    assert (found.top1_error, found.top5_error) == (scores.top1_error, scores.top5_error)
    assert found.loss == pytest.approx(scores.loss)
    assert (found.num_images, found.num_quarantined) == (8, 1)
    assert (found.split, found.views, found.checkpoint, found.epoch) == (
        *("val", "ten-crop", "last"),
        5,
    )


def test_the_centre_of_the_last_checkpoint_is_what_training_reported(task: Task) -> None:
    found = scored(replace(task, views="centre"))
    details = task.run.read_manifest().details
    assert found.top1_error == details["val_top1_error"]
    assert found.top5_error == details["val_top5_error"]
    assert found.weights == details["weights"]


def test_the_best_checkpoint_has_the_error_that_made_it_so(task: Task) -> None:
    found = scored(replace(task, views="centre", which="best"))
    details = task.run.read_manifest().details
    assert found.top1_error == details["best_val_top1_error"]
    assert found.epoch == details["best_epoch"]


def test_the_test_split_has_labels_here(task: Task) -> None:
    found = scored(replace(task, split="test"))
    assert (found.num_images, found.num_quarantined) == (4, 0)


def test_both_geometries_are_named_and_nothing_is_said_if_they_agree(task: Task) -> None:
    found = scored(task)
    assert (found.geometry, found.trained_geometry) == ("crop", "crop")
    assert "\n" not in text.line(found)


def test_a_network_of_another_geometry_is_named(
    task: Task, raw: Path, prepare: Callable[..., Path], pack: Callable[..., Path], tmp_path: Path
) -> None:
    squashed = pack(prepare(raw, tmp_path / "squashed", geometry="squash"))
    other = replace(task, data=squashed)
    found = scored(other)
    assert (found.geometry, found.trained_geometry) == ("squash", "crop")
    assert json.loads(other.run.result("val", "ten-crop").read_text())["geometry"] == "squash"
    said = "\nval: squashed to a square; the network was trained on cropped images"
    assert text.line(found).endswith(said)
    assert json.loads(text.document(found))["trained_geometry"] == "crop"


def test_records_that_name_no_geometry_mean_cropped_images(task: Task, tmp_path: Path) -> None:
    other = shutil.copytree(task.data, tmp_path / "other")
    record = json.loads((other / "shards" / "manifest.json").read_text())
    del record["details"]["geometry"]
    (other / "shards" / "manifest.json").write_text(json.dumps(record))
    path = task.run.checkpoint("last")
    content = checkpoint.load(path)
    del content["inputs"]["geometry"], content["format_version"]
    checkpoint.save(path, content)
    found = scored(replace(task, data=other))
    assert (found.geometry, found.trained_geometry) == ("crop", "crop")
    kept = {key: value for key, value in asdict(found).items() if "geometry" not in key}
    assert Result(**kept) == found


def test_before_scoring_there_is_no_result(task: Task) -> None:
    assert find(task) is None


def test_a_result_is_found_again(task: Task) -> None:
    found = scored(task)
    assert find(task) == found
    assert json.loads(task.run.result("val", "ten-crop").read_text()) == asdict(found)


def test_results_of_other_splits_and_views_stand_beside_it(task: Task) -> None:
    scored(task)
    assert find(replace(task, views="centre")) is None
    assert find(replace(task, split="test")) is None


def test_predictions_without_their_result_do_not_count(task: Task) -> None:
    scored(task)
    task.run.result("val", "ten-crop").unlink()
    assert find(task) is None


def test_scoring_twice_gives_the_same_files(task: Task) -> None:
    scored(task)
    paths = sorted((task.run.path / "results").iterdir())
    before = [path.read_bytes() for path in paths]
    assert [path.name for path in paths] == ["val-ten-crop.json", "val-ten-crop.npz"]
    scored(task)
    assert [path.read_bytes() for path in paths] == before


def test_a_result_of_another_checkpoint_is_refused(task: Task) -> None:
    scored(task)
    wanted = r"val-ten-crop\.json: expected checkpoint = 'best', found last; remove the old"
    with pytest.raises(ManifestError, match=wanted):
        find(replace(task, which="best"))


def test_a_result_of_other_weights_is_refused(task: Task) -> None:
    scored(task)
    content = checkpoint.load(task.run.checkpoint("last"))
    content["state_dict"]["fc8.bias"][0] += 1
    checkpoint.save(task.run.checkpoint("last"), content)
    with pytest.raises(ManifestError, match=r"expected weights = '[0-9a-f]{64}', found "):
        find(task)


def test_a_result_of_other_shards_is_refused(task: Task, tmp_path: Path) -> None:
    scored(task)
    with pytest.raises(ManifestError, match="expected shards = "):
        find(replace(task, data=packed_anew(task, tmp_path / "other")))


def test_beside_a_result_the_classes_of_other_shards_are_compared_first(
    task: Task, tmp_path: Path
) -> None:
    scored(task)
    exchange_a_class(task)
    other = replace(task, data=packed_anew(task, tmp_path / "other"), which="best")
    with pytest.raises(DataError, match=r"other: expected the 3 classes that .*run was trained on"):
        find(other)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"split": "val"}'])
def test_a_damaged_result_is_named(task: Task, text: str) -> None:
    path = task.run.result("val", "ten-crop")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DataError, match=r"val-ten-crop\.json: expected a result, found "):
        find(task)


def test_predictions_are_kept_for_every_image(task: Task) -> None:
    scored(task)
    kept = arrays(task)
    with closing(open_split(task.data, "val")) as split:
        assert np.array_equal(kept["names"], split.names)
        assert np.array_equal(kept["labels"], split.labels)
    assert kept["names"].dtype.kind == "S"
    assert (kept["labels"].dtype, kept["top5"].dtype) == (np.int64, np.int64)
    assert kept["probabilities"].dtype == np.float32
    assert kept["top5"].shape == kept["probabilities"].shape == (7, 3)


def test_the_kept_predictions_give_the_errors(task: Task) -> None:
    found, kept = scored(task), arrays(task)
    num_right = np.count_nonzero(kept["top5"][:, 0] == kept["labels"])
    assert found.top1_error == (8 - num_right) / 8


def test_the_images_of_the_sheet_are_those_of_its_rows(task: Task) -> None:
    scored(task)
    kept = arrays(task)
    assert sorted(kept["sheet_rows"]) == list(range(7))
    with closing(open_split(task.data, "val")) as split, Reader(split, 1) as reader:
        expected = next(reader.read([kept["sheet_rows"]])).images
    assert np.array_equal(kept["sheet_images"], expected)


def test_unknown_labels_are_refused(
    task: Task,
    make_raw: Callable[..., Path],
    prepare: Callable[..., Path],
    pack: Callable[..., Path],
    tmp_path: Path,
) -> None:
    raw = make_raw(tmp_path / "raw", test_labels=False)
    blind = pack(prepare(raw, tmp_path / "blind"))
    wanted = "expected labels, found 4 images without; use the val split"
    with pytest.raises(DataError, match=wanted):
        scored(replace(task, data=blind, split="test"))
    assert not (task.run.path / "results").exists()


def test_images_of_another_side_are_refused(
    task: Task, raw: Path, prepare: Callable[..., Path], pack: Callable[..., Path], tmp_path: Path
) -> None:
    other = pack(prepare(raw, tmp_path / "other", side=80))
    wanted = "expected images of side 72, as in training, found 80; preprocess with --side 72"
    with pytest.raises(DataError, match=wanted):
        scored(replace(task, data=other))


def test_the_same_classes_with_other_promised_counts_are_scored(
    task: Task,
    make_raw: Callable[..., Path],
    prepare: Callable[..., Path],
    pack: Callable[..., Path],
    tmp_path: Path,
) -> None:
    other = pack(prepare(make_raw(tmp_path / "raw", num_train=5), tmp_path / "other"))
    assert scored(replace(task, data=other)).num_images == 8


def test_another_class_table_is_refused(task: Task) -> None:
    exchange_a_class(task)
    wanted = r"expected the 3 classes that .*run was trained on, found 3 others; name the data"
    with pytest.raises(DataError, match=wanted):
        scored(task)


def test_a_split_that_the_data_has_not_is_named(task: Task) -> None:
    with pytest.raises(ManifestError, match="expected shards of holdout, found test, train, val"):
        scored(replace(task, split="holdout"))


def test_the_number_of_images_is_told_beforehand(task: Task) -> None:
    assert num_images(task) == 7
    assert num_images(replace(task, split="test")) == 4


def test_the_mean_image_of_the_checkpoint_counts_not_that_of_the_data(
    task: Task, tmp_path: Path
) -> None:
    other = shutil.copytree(task.data, tmp_path / "other")
    np.save(other / "mean.npy", np.zeros((72, 72, 3), np.float32))
    assert scored(replace(task, data=other)).loss == scored(task).loss


@pytest.mark.parametrize(
    ("num_wrong", "num_right", "wrong_shown"),
    [(0, 100, 0), (4, 100, 4), (50, 100, 8), (30, 3, 21), (30, 0, 24), (2, 3, 2)],
)
def test_some_wrong_images_are_on_the_sheet_but_not_only_they(
    num_wrong: int, num_right: int, wrong_shown: int
) -> None:
    is_wrong = np.array([True] * num_wrong + [False] * num_right)
    rows = sheet_rows(is_wrong)
    assert np.count_nonzero(is_wrong[rows]) == wrong_shown
    assert len(rows) == min(24, num_wrong + num_right)


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_no_image_is_on_the_sheet_twice(is_wrong: list[bool]) -> None:
    rows = sheet_rows(np.array(is_wrong))
    assert len(np.unique(rows)) == len(rows) == min(24, len(is_wrong))
    assert np.array_equal(rows, sheet_rows(np.array(is_wrong)))
