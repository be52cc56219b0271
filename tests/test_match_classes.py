"""Runs on a subset of classes: what is scored, and which other data is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import tiny_recipe
from typer.testing import CliRunner

from alexrep.errors import DataError
from alexrep.evaluation.match_classes import matched, of_classes
from alexrep.evaluation.scoring import score
from alexrep.evaluation.task import Task, find, num_images
from alexrep.feed.dataset import open_data
from alexrep.ilsvrc.classes import ClassTable
from alexrep.plots import predictions
from alexrep.runs import checkpoint, contents, log, results, trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Result
from alexrep.shards.labelled import LabelledImages
from alexrep.shards.read import Split, open_split
from alexrep.stages import app

CPU = torch.device("cpu")
TWO = ("n00000040", "n00000020")

pytestmark = pytest.mark.usefixtures("one_thread")


def alexrep(*words: str | Path) -> str:
    """Run a command that must succeed and return what it prints."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run on two of the three classes; read only."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.toml").write_text(tiny_recipe(3))
    words = ("--recipe", folder / "tiny.toml", "--set", f"limits.classes={json.dumps(TWO)}")
    alexrep("train", data, "--run", folder / "run", *words, "--device", "cpu")
    return folder / "run"


@pytest.fixture
def task(trained_run: Path, data: Path, tmp_path: Path) -> Task:
    run = shutil.copytree(trained_run, tmp_path / "run")
    return Task(RunFolder(run), data, "val", "centre", "last")


@pytest.fixture
def val(data: Path) -> Iterator[Split]:
    with closing(open_split(data, "val")) as split:
        yield split


def scored(task: Task) -> Result:
    scored = score(task, CPU, threads=2, batch_size=3, done=lambda num: None)
    return results.keep(scored)


def rename(split: Split, new: dict[str, str]) -> None:
    """Give a split's classes other wnids, in the same order."""
    synsets = [
        replace(synset, wnid=new.get(synset.wnid, synset.wnid)) for synset in split.classes.synsets
    ]
    split.classes = ClassTable(tuple(synsets))


def match(task: Task, split: Split) -> LabelledImages:
    network = trained.load(task.run.checkpoint("last"))
    return matched(split, network, task.run.path, task.data).split


def test_the_error_is_that_of_the_last_validation(task: Task) -> None:
    result, last = scored(task), log.read(task.run.log)[-1]
    assert (result.num_images, result.num_quarantined) == (5, 0)
    assert result.top1_error == last["val_top1_error"]
    assert result.top5_error == last["val_top5_error"]
    assert result.loss == pytest.approx(last["val_loss"])


def test_the_best_checkpoint_has_the_error_that_made_it_so(task: Task) -> None:
    result, details = scored(replace(task, which="best")), task.run.read_manifest().details
    assert result.top1_error == details["best_val_top1_error"]
    assert result.epoch == details["best_epoch"]


@pytest.mark.parametrize("views", ["centre", "ten-crop"])
@pytest.mark.parametrize(("split", "num"), [("train", 12), ("val", 5), ("test", 3)])
def test_exactly_the_images_of_the_classes_are_scored_and_kept(
    task: Task, split: str, num: int, views: str
) -> None:
    own, done = replace(task, split=split, views=views), list[int]()
    result = results.keep(score(own, CPU, threads=2, batch_size=2, done=done.append))
    assert result.num_images == sum(done) == num_images(own) == num
    assert find(own) == result
    with np.load(task.run.result(split, views).with_suffix(".npz")) as kept:
        names, labels, top = kept["names"], kept["labels"], kept["top5"]
    with closing(open_split(task.data, split)) as whole:
        is_known = whole.labels != 1
        assert np.array_equal(names, whole.names[is_known])
        assert np.array_equal(labels, whole.labels[is_known] // 2)
    assert result.top1_error == np.mean(top[:, 0] != labels)


def test_the_split_is_the_one_of_training(task: Task, val: Split) -> None:
    subset = match(task, val)
    with closing(open_data(task.data, TWO)) as training_data:
        assert np.array_equal(subset.labels, training_data.val.labels)
        assert subset.classes == training_data.val.classes
        assert subset.num_quarantined == training_data.val.num_quarantined


def test_the_sheet_names_the_classes_of_the_run(task: Task) -> None:
    scored(task)
    kept = contents.read_scored(task.run.path)
    cards = predictions.cards(kept, contents.read_classes(task.run.path))
    images = kept.predictions.sheet_images
    # The blue of the pictures encodes the class: a little over 40, or 200.
    seen = ["cat" if image[..., 2].mean() < 120 else "crane" for image in images]
    assert [card.name for card in cards] == seen
    assert sorted(seen) == ["cat"] * 3 + ["crane"] * 2
    assert all({bar.name for bar in card.bars} == {"cat", "crane"} for card in cards)


@pytest.mark.slow
def test_the_commands_after_training_work(task: Task) -> None:
    run = task.run.path
    words = ("eval", run, "--data", task.data, "--ten-crop", "--device", "cpu", "--split", "test")
    first = alexrep(*words)
    assert "(3 images)" in first
    assert alexrep(*words) == first
    assert "plots/predictions.png\n" in alexrep("plot", run)
    assert "n00000040" in alexrep("runs", "show", run)


def test_classes_that_the_data_has_not_are_named(task: Task, val: Split) -> None:
    rename(val, {"n00000040": "n00000050"})
    wanted = "expected the 2 classes that .*run was trained on, found all but n00000040; name the"
    with pytest.raises(DataError, match=wanted):
        match(task, val)


def test_data_of_other_classes_is_refused(task: Task, val: Split) -> None:
    rename(val, {"n00000020": "n00000021", "n00000040": "n00000050"})
    wanted = "expected the 2 classes that .*run was trained on, found 3 others; name the data it"
    with pytest.raises(DataError, match=wanted):
        match(task, val)


def test_without_the_limit_in_its_recipe_a_run_has_all_classes(task: Task) -> None:
    path = task.run.checkpoint("last")
    content = checkpoint.load(path)
    del content["config"]["limits"]["classes"], content["format_version"]
    checkpoint.save(path, content)
    with pytest.raises(DataError, match=r"expected the 2 classes that .*, found 3 others"):
        scored(task)


def test_a_limit_that_the_class_table_does_not_show_is_none(task: Task, val: Split) -> None:
    recipe = task.run.read_recipe()
    found = of_classes(val, recipe, val.classes, task.run.path, task.data)
    assert found.split is val
    assert np.array_equal(found.indices, np.arange(len(val)))


def test_a_split_without_images_of_the_classes_is_named(task: Task, val: Split) -> None:
    val.labels[:] = 1
    wanted = "expected val images of the classes that .*run was trained on, found none; choose"
    with pytest.raises(DataError, match=wanted):
        match(task, val)


def test_a_split_without_labels_gives_predictions(
    task: Task,
    make_raw: Callable[..., Path],
    prepare: Callable[..., Path],
    pack: Callable[..., Path],
    tmp_path: Path,
) -> None:
    blind = pack(prepare(make_raw(tmp_path / "raw", test_labels=False), tmp_path / "blind"))
    own = replace(task, data=blind, split="test")
    result = scored(own)
    assert num_images(own) == result.num_images == result.num_unlabelled == 4
    assert (result.loss, result.top1_error, result.top5_interval, result.ece) == (None,) * 4
    kept = results.read_scored(own.path).predictions
    assert kept.top5.shape == (4, 2)
    assert find(own) == result


def test_labels_of_which_some_are_unknown_are_refused(task: Task, val: Split) -> None:
    val.labels[2:4] = -1
    with pytest.raises(DataError, match="expected labels, found 2 images without; use the val"):
        match(task, val)


def test_images_of_another_side_are_refused(task: Task, val: Split) -> None:
    val.side = 80
    with pytest.raises(DataError, match="expected images of side 72, as in training, found 80"):
        match(task, val)
