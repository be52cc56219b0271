"""A run's result on a split: its numbers, and when a kept one is used again."""

import json
import re
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

from alexrep import seal
from alexrep.config import recipes
from alexrep.errors import AlexrepError, DataError, ManifestError
from alexrep.evaluation import predictions, scoring, text
from alexrep.evaluation.evaluate import evaluate
from alexrep.evaluation.predictions import sheet_rows
from alexrep.evaluation.scoring import score, score_views
from alexrep.evaluation.task import Task, find, num_images
from alexrep.feed.batches import Reader
from alexrep.feed.dataset import open_data
from alexrep.runs import checkpoint, log, results, trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Result
from alexrep.shards.read import Split, open_split
from alexrep.training import run as training
from alexrep.training.request import Request, Resources

CPU = torch.device("cpu")
SETTINGS = (
    "model={side=67,width=0.05,std_factor=4.5}",
    "feed.batch_size=4",
    "schedule={epochs=5,changes=[{epoch=0,weights=0.01,biases=0.02}]}",
)

ENDS = (".json", ".npz")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run; read only."""
    return train(tmp_path_factory.mktemp("runs") / "run", data)


def train(run: Path, data: Path, *settings: str) -> Path:
    recipe = recipes.load("demo", (*SETTINGS, *settings))
    with closing(open_data(data)) as dataset:
        training.lead(Request(recipe, dataset, run, Resources(CPU, 2)), lambda: None)
    return run


@pytest.fixture
def task(trained_run: Path, data: Path, tmp_path: Path) -> Task:
    run = shutil.copytree(trained_run, tmp_path / "run")
    return Task(RunFolder(run), data, "val", "ten-crop", "last")


def scored(task: Task) -> Result:
    return results.keep(score(task, CPU, threads=2, batch_size=3, done=lambda num: None))


def arrays(task: Task) -> dict[str, Any]:
    path = task.run.result(task.split, task.views).with_suffix(".npz")
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def exchange_a_class(task: Task) -> None:
    """Give both checkpoints another class in place of the second one."""
    for which in ("last", "best"):
        content = checkpoint.load(task.run.checkpoint(which))
        content["classes"][1]["wnid"] = "n00000031"
        del content["format_version"]
        checkpoint.save(task.run.checkpoint(which), content)


def packed_anew(task: Task, other: Path) -> Path:
    """Copy the data with a changed manifest of its shards."""
    shutil.copytree(task.data, other)
    record = json.loads((other / "shards" / "manifest.json").read_text())
    record["program"] = "0.0"
    (other / "shards" / "manifest.json").write_text(json.dumps(record))
    seal.path_of(other / "shards" / "manifest.json").unlink()
    return other


def test_the_result_is_that_of_the_checkpoint_on_the_split(task: Task) -> None:
    network = trained.load(task.run.checkpoint("last"))
    with closing(open_split(task.data, "val")) as split:
        model, inputs = network.model(), network.inputs()
        views = ("ten-crop",)
        scores, _ = evaluate(model, split, inputs, views, threads=1, batch_size=3)["ten-crop"]
    result = scored(task)
    assert (result.top1_error, result.top5_error) == (scores.top1_error, scores.top5_error)
    assert result.loss == pytest.approx(scores.loss)
    assert (result.num_images, result.num_quarantined) == (8, 1)
    assert (result.split, result.views, result.checkpoint, result.epoch) == (
        *("val", "ten-crop", "last"),
        5,
    )


def test_the_centre_of_the_last_checkpoint_is_what_training_reported(task: Task) -> None:
    result = scored(replace(task, views="centre"))
    details, row = task.run.read_manifest().details, log.read(task.run.log)[-1]
    assert result.loss == pytest.approx(row["val_loss"])
    assert result.top1_error == details["val_top1_error"]
    assert result.top5_error == details["val_top5_error"]
    assert result.weights == details["weights"]


@pytest.fixture(scope="module")
def half_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a finished run whose recipe computes in bfloat16; read only."""
    compute = "compute={precision='bf16',form='joined'}"
    return RunFolder(train(tmp_path_factory.mktemp("runs") / "half", data, compute))


def test_a_run_is_scored_in_the_precision_of_its_recipe(half_run: RunFolder, data: Path) -> None:
    task = Task(half_run, data, "val", "centre", "last")
    result = score(task, CPU, threads=2, batch_size=4, done=lambda num: None).result
    assert result.loss == pytest.approx(log.read(half_run.log)[-1]["val_loss"], rel=1e-12)
    content = checkpoint.load(half_run.checkpoint("last"))
    content["config"]["compute"]["precision"] = "fp32"
    network = trained.Trained(half_run.path, content)
    with closing(open_split(data, "val")) as split:
        model, inputs = network.model(), network.inputs()
        views = ("centre",)
        exact, _ = evaluate(model, split, inputs, views, threads=2, batch_size=4)["centre"]
    assert result.loss != pytest.approx(exact.loss, rel=1e-6)


@pytest.mark.parametrize(("precision", "rounding"), [("fp32", "ieee"), ("bf16", "tf32")])
def test_the_switches_are_set_while_a_run_is_scored_and_put_back(
    task: Task, precision: str, rounding: str
) -> None:
    path = task.run.checkpoint("last")
    content = checkpoint.load(path)
    del content["format_version"]
    # Its training device does not matter: it need not exist here.
    compute = {"precision": precision, "compile": True, "towers": ["cuda:6", "cuda:7"]}
    content["config"]["compute"] |= compute
    checkpoint.save(path, content)
    before, seen = switches(), []
    score(task, CPU, threads=1, batch_size=4, done=lambda num: seen.append(switches()))
    assert seen == [(rounding, rounding, True)] * 2
    assert switches() == before


def switches() -> tuple[str, str, bool]:
    """Return torch's float32 precision of products and convolutions, and its determinism."""
    backends: Any = torch.backends
    rounding = backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision
    return (*rounding, torch.are_deterministic_algorithms_enabled())


def test_the_best_checkpoint_has_the_error_that_made_it_so(task: Task) -> None:
    result = scored(replace(task, views="centre", which="best"))
    details = task.run.read_manifest().details
    assert result.top1_error == details["best_val_top1_error"]
    assert result.epoch == details["best_epoch"]


def test_the_test_split_has_labels_here(task: Task) -> None:
    result = scored(replace(task, split="test"))
    assert (result.num_images, result.num_quarantined) == (4, 0)


def test_both_geometries_are_named_and_nothing_is_said_if_they_agree(task: Task) -> None:
    result = scored(task)
    assert (result.geometry, result.trained_geometry) == ("crop", "crop")
    assert "\n" not in text.line(result)


def test_a_network_of_another_geometry_is_named(
    task: Task, raw: Path, prepare: Callable[..., Path], pack: Callable[..., Path], tmp_path: Path
) -> None:
    squashed = pack(prepare(raw, tmp_path / "squashed", geometry="squash"))
    other = replace(task, data=squashed)
    result = scored(other)
    assert (result.geometry, result.trained_geometry) == ("squash", "crop")
    assert json.loads(other.run.result("val", "ten-crop").read_text())["geometry"] == "squash"
    warning = "\nval: squashed to a square; the network was trained on cropped images"
    assert text.line(result).endswith(warning)
    assert json.loads(text.document(result))["trained_geometry"] == "crop"


def test_records_that_name_no_geometry_mean_cropped_images(task: Task, tmp_path: Path) -> None:
    other = shutil.copytree(task.data, tmp_path / "other")
    record = json.loads((other / "shards" / "manifest.json").read_text())
    del record["details"]["geometry"]
    (other / "shards" / "manifest.json").write_text(json.dumps(record))
    seal.path_of(other / "shards" / "manifest.json").unlink()
    path = task.run.checkpoint("last")
    content = checkpoint.load(path)
    del content["inputs"]["geometry"], content["format_version"]
    checkpoint.save(path, content)
    result = scored(replace(task, data=other))
    assert (result.geometry, result.trained_geometry) == ("crop", "crop")
    kept = {key: value for key, value in asdict(result).items() if "geometry" not in key}
    assert Result(**kept) == result


def test_before_scoring_there_is_no_result(task: Task) -> None:
    assert find(task) is None


def test_a_result_is_found_again(task: Task) -> None:
    result = scored(task)
    assert find(task) == result
    assert json.loads(task.run.result("val", "ten-crop").read_text()) == json.loads(
        text.document(result)
    )


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


def test_results_of_both_checkpoints_stand_beside_each_other(task: Task) -> None:
    last, best = scored(task), scored(replace(task, which="best"))
    assert find(task) == last
    assert find(replace(task, which="best")) == best
    assert (last.checkpoint, best.checkpoint) == ("last", "best")
    names = {path.name for path in (task.run.path / "results").iterdir()}
    assert names == {f"val-ten-crop{which}{end}" for which in ("", "-best") for end in ENDS}


def said_of(task: Task) -> str:
    """Return the one message about a result that is not usable."""
    messages: list[str] = []
    assert find(task, messages.append) is None
    assert len(messages) == 1
    return messages[0]


def test_a_result_of_other_weights_is_replaced_and_this_is_said(task: Task) -> None:
    before = scored(task)
    content = checkpoint.load(task.run.checkpoint("last"))
    content["state_dict"]["fc8.bias"][0] += 1
    content["epoch"] = 9
    del content["format_version"]
    checkpoint.save(task.run.checkpoint("last"), content)
    assert re.fullmatch(
        r".*/val-ten-crop\.json: expected weights [0-9a-f]{12} of epoch 9, found [0-9a-f]{12} of "
        r"epoch 5; scored anew, and the old result is replaced",
        said_of(task),
    )
    after = scored(task)
    assert (after.epoch, find(task)) == (9, after)
    assert after.weights != before.weights


def as_version_1(task: Task, **others: str) -> None:
    """Rewrite a result in version 1's format, which names no version."""
    table = json.loads(task.path.read_text())
    for key in ("version", "predictions", "labels", "all_probabilities"):
        del table[key]
    task.path.write_text(json.dumps(table | others))


def test_a_result_of_version_1_is_read(task: Task) -> None:
    result = scored(task)
    as_version_1(task)
    assert find(task) == replace(result, version=1, predictions="")
    assert results.read_scored(task.path).result.top1_error == result.top1_error


def test_a_result_of_the_best_checkpoint_in_the_name_of_the_last_is_replaced(task: Task) -> None:
    scored(task)
    as_version_1(task, checkpoint="best")
    assert "expected checkpoint 'last', found 'best'; scored anew" in said_of(task)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_result_without_its_own_predictions_is_scored_anew(task: Task, is_there: bool) -> None:
    other = scored(replace(task, which="best", all_probabilities=True))
    scored(task)
    arrays = task.path.with_suffix(".npz")
    arrays.unlink()
    if is_there:
        shutil.copyfile(task.run.result("val", "ten-crop", "best").with_suffix(".npz"), arrays)
    assert other.predictions != results.read(task.path).predictions
    assert "expected its predictions beside it, found none or others; scored" in said_of(task)


def test_all_probabilities_are_kept_when_asked_for(task: Task) -> None:
    scored(task)
    with_all = replace(task, all_probabilities=True)
    messages: list[str] = []
    assert find(with_all, messages.append) is None
    assert messages == [], "what is asked for needs no word"
    result, kept = scored(with_all), arrays(task)
    assert (kept["all_probabilities"].dtype, kept["all_probabilities"].shape) == (
        np.float16,
        (7, 3),
    )
    likely = np.take_along_axis(kept["all_probabilities"], kept["top5"], axis=1)
    assert np.allclose(likely, kept["probabilities"], atol=5e-4)
    # A task that does not need all probabilities accepts a result that has them.
    assert find(task) == find(with_all) == result


def test_a_result_of_other_shards_is_refused(task: Task, tmp_path: Path) -> None:
    scored(task)
    with pytest.raises(ManifestError, match="expected shards = "):
        find(replace(task, data=packed_anew(task, tmp_path / "other")))


def test_beside_a_result_the_classes_of_other_shards_are_compared_first(
    task: Task, tmp_path: Path
) -> None:
    scored(task)
    exchange_a_class(task)
    other = replace(task, data=packed_anew(task, tmp_path / "other"))
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
    result, kept = scored(task), arrays(task)
    num_right = np.count_nonzero(kept["top5"][:, 0] == kept["labels"])
    assert result.top1_error == (8 - num_right) / 8


def test_the_images_of_the_sheet_are_those_of_its_rows(task: Task) -> None:
    scored(task)
    kept = arrays(task)
    assert sorted(kept["sheet_rows"]) == list(range(7))
    with closing(open_split(task.data, "val")) as split, Reader(split, 1) as reader:
        expected = next(reader.read([kept["sheet_rows"]])).images
    assert np.array_equal(kept["sheet_images"], expected)


def test_images_without_labels_are_predicted(
    task: Task,
    make_raw: Callable[..., Path],
    prepare: Callable[..., Path],
    pack: Callable[..., Path],
    tmp_path: Path,
) -> None:
    raw = make_raw(tmp_path / "raw", test_labels=False)
    blind = pack(prepare(raw, tmp_path / "blind"))
    known, unknown = scored(replace(task, split="test")), arrays(replace(task, split="test"))
    (task.run.path / "results" / "test-ten-crop.json").unlink()
    result = scored(replace(task, data=blind, split="test"))
    kept = arrays(replace(task, split="test"))
    assert known.top1_error is not None
    assert (result.top1_error, result.loss, result.num_unlabelled) == (None, None, 4)
    assert np.array_equal(kept["top5"], unknown["top5"])
    assert (kept["labels"] == -1).all()
    assert text.line(result) == "test, ten-crop: predictions of 4 images without labels"
    assert text.details(result) == []


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
    [(0, 100, 0), (4, 100, 4), (8, 0, 8), (30, 0, 20), (2, 3, 2)],
)
def test_all_wrong_images_are_on_the_sheet_as_far_as_they_have_room(
    num_wrong: int, num_right: int, wrong_shown: int
) -> None:
    is_wrong = np.array([True] * num_wrong + [False] * num_right)
    rows = sheet_rows(is_wrong)
    assert np.count_nonzero(is_wrong[rows]) == wrong_shown
    assert len(rows) == min(20, num_wrong + num_right)


def test_half_of_the_sheet_is_a_sample_that_does_not_depend_on_the_answers() -> None:
    is_wrong = np.arange(200) % 3 == 0
    rows = sheet_rows(is_wrong)
    assert rows[:10].tolist() == sheet_rows(~is_wrong)[:10].tolist()
    assert is_wrong[rows[10:]].all()


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_no_image_is_on_the_sheet_twice(is_wrong: list[bool]) -> None:
    rows = sheet_rows(np.array(is_wrong))
    assert len(np.unique(rows)) == len(rows) == min(20, len(is_wrong))
    assert np.array_equal(rows, sheet_rows(np.array(is_wrong)))


def test_both_views_are_scored_from_one_decoding(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [replace(task, views=views) for views in ("centre", "ten-crop")]
    apart = [score(each, CPU, threads=2, batch_size=3, done=lambda num: None) for each in tasks]
    decoded: list[int] = []
    read = Split.read

    def counted(split: Split, index: int) -> bytes:
        decoded.append(index)
        return read(split, index)

    monkeypatch.setattr(Split, "read", counted)
    monkeypatch.setattr(predictions, "of", lambda split, outputs: outputs)
    monkeypatch.setattr(scoring, "measured", lambda result, kept: result)
    both = score_views(tasks, CPU, threads=2, batch_size=3, done=lambda num: None)
    assert sorted(decoded) == list(range(7))
    for one, other in zip(apart, both, strict=True):
        assert np.array_equal(one.predictions.probabilities, other.predictions.probabilities)
        assert one.predictions.credit.tobytes() == other.predictions.credit.tobytes()


def test_logits_are_averaged_if_asked_for_and_kept_apart(task: Task) -> None:
    of_logits = replace(task, average="logits")
    other, usual = scored(of_logits), scored(task)
    assert of_logits.path.name == "val-ten-crop-logits.json"
    assert (other.average, usual.average) == ("logits", "probabilities")
    assert other.loss != usual.loss
    assert "val, ten-crop, mean of logits: " in text.line(other)
    assert replace(of_logits, views="centre").path == replace(task, views="centre").path


def test_the_details_say_intervals_loss_and_calibration(task: Task) -> None:
    result = scored(task)
    assert result.loss is not None
    first, second, third = text.details(result)
    assert re.fullmatch(
        r"95 % intervals: top-1 [\d.]+ to [\d.]+ %, top-5 [\d.]+ to [\d.]+ % \(10,000 boot.*", first
    )
    assert second == f"mean negative log likelihood: {result.loss:.4f}"
    assert third.startswith("expected calibration error: ")
    assert results.read(task.path) == result


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (
            lambda content: content["inputs"].pop("mean"),
            "with inputs.mean, found none",
        ),
        (lambda content: content["inputs"]["mean"].fill_(torch.nan), "a finite mean image, found"),
        (lambda content: content.pop("classes"), "a checkpoint with classes, found none"),
        (
            lambda content: content["state_dict"].pop("fc8.bias"),
            r"fc8\.bias of \(3,\), as its recipe says, found fc8\.bias of no shape",
        ),
        (
            lambda content: content["config"]["model"].update(width=0.1),
            "a checkpoint of the network of .*'s recipe, demo, found one of demo's",
        ),
        (
            lambda content: content["state_dict"]["fc8.bias"].fill_(torch.nan),
            "the network: expected finite logits, found others",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_named(
    task: Task, spoil: Callable[[dict[str, Any]], object], fault: str
) -> None:
    content = checkpoint.load(task.run.checkpoint("last"))
    spoil(content)
    del content["format_version"]
    checkpoint.save(task.run.checkpoint("last"), content)
    with pytest.raises(AlexrepError, match=fault):
        scored(task)
