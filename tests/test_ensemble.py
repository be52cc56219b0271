"""Several networks as one: equal to naive loops, weights fitted on val, names, refusals."""

import errno
import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from recipes import tiny_recipe
from typer.testing import CliRunner, Result

from alexrep.errors import DataError
from alexrep.evaluation import ensemble
from alexrep.runs import results
from alexrep.runs.results import Predictions, Scored
from alexrep.stages import app
from alexrep.stages.cli.ensembles import MEMBERS_FIRST

NUM, CLASSES = 300, 12

pytestmark = pytest.mark.usefixtures("one_thread")


def likelihoods(seed: int, right: float) -> NDArray[np.float32]:
    """Return the softmax of random logits, which favour `labels()` by `right`."""
    logits = np.random.default_rng(seed).normal(size=(NUM, CLASSES))
    logits[np.arange(NUM), labels()] += right
    likely = np.exp(logits)
    found: NDArray[np.float32] = (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def labels() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, CLASSES, NUM)


def keep(folder: Path, likely: NDArray[np.float32], name: str) -> Path:
    """Write a result of probabilities, as eval --all-probabilities would."""
    top = np.argsort(-likely, axis=1)[:, :5]
    kept = Predictions(
        names=np.array([b"%d" % row for row in range(NUM)]),
        labels=labels(),
        top5=top,
        probabilities=np.take_along_axis(likely, top, axis=1),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=likely[np.arange(NUM), labels()],
        credit=np.zeros((NUM, 2)),
        all_probabilities=likely.astype(np.float16),
    )
    result = results.Result("val", "centre", "last", 3, NUM, 0, 0.5, 0.5, 0.0, name * 64, "s" * 64)
    path = folder / name / "results" / "val-centre.json"
    results.keep(Scored(path, result, kept))
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [keep(tmp_path, likelihoods(seed, 1.0 + seed), "abc"[seed]) for seed in range(3)]


def runs_of(paths: list[Path]) -> list[Path]:
    return [path.parent.parent for path in paths]


def read(paths: list[Path]) -> list[Scored]:
    return [ensemble.light(results.read_scored(path)) for path in paths]


def averaged(paths: list[Path], mixture: NDArray[np.float64], fitted_on: str = "") -> Scored:
    return ensemble.average(runs_of(paths), read(paths), mixture, fitted_on)


def test_an_ensemble_is_that_of_naive_loops(paths: list[Path]) -> None:
    weights = [0.2, 0.5, 0.3]
    mean = [[0.0] * CLASSES for _ in range(NUM)]
    loss, right1, right5 = 0.0, 0, 0
    likely, known = [likelihoods(seed, 1.0 + seed) for seed in range(3)], labels()
    for row in range(NUM):
        for seed, weight in enumerate(weights):
            for column in range(CLASSES):
                kept = np.float16(likely[seed][row, column])
                mean[row][column] += weight * float(kept)
        label = int(known[row])
        own = sum(w * float(likely[s][row, label]) for s, w in enumerate(weights))
        loss -= float(np.log(own)) / NUM
        ranked = sorted(range(CLASSES), key=lambda column: -mean[row][column])
        right1 += ranked[0] == label
        right5 += label in ranked[:5]
    found = averaged(paths, np.array(weights))
    assert found.result.top1_error == pytest.approx(1 - right1 / NUM)
    assert found.result.top5_error == pytest.approx(1 - right5 / NUM)
    assert found.result.loss == pytest.approx(loss, rel=1e-6)
    order = np.argsort(-np.array(mean), axis=1)[:, :5]
    assert np.array_equal(found.predictions.top5, order)
    assert found.predictions.probabilities[:, 0] == pytest.approx(np.max(mean, axis=1), rel=1e-5)


def test_blocks_of_images_make_no_difference(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = averaged(paths, np.full(3, 1 / 3))
    monkeypatch.setattr(ensemble, "ROWS", 7)
    parts = averaged(paths, np.full(3, 1 / 3))
    assert parts.result == whole.result
    assert np.array_equal(parts.predictions.credit, whole.predictions.credit)


def test_the_searched_weights_are_the_likeliest(paths: list[Path]) -> None:
    own = np.stack([likelihoods(s, 1.0 + s)[np.arange(NUM), labels()] for s in range(3)], axis=1)
    found = ensemble.search(read(paths))
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    # Of all weights in steps of a twentieth none is likelier.
    best = np.log(own @ found).mean()
    for first, second in itertools.product(np.linspace(0, 1, 21), repeat=2):
        if first + second <= 1:
            other = np.array([first, second, 1 - first - second])
            assert np.log(own @ other).mean() <= best + 1e-7
    # And no network would gain by more weight, which makes it the one maximum.
    assert ((own / (own @ found)[:, None]).mean(axis=0) <= 1 + 1e-3).all()
    assert np.array_equal(found, ensemble.search(read(paths)))


def test_equal_networks_keep_equal_weights(tmp_path: Path) -> None:
    paths = [keep(tmp_path, likelihoods(1, 2.0), name) for name in "ab"]
    assert ensemble.search(read(paths)).tolist() == [0.5, 0.5]
    found = averaged(paths, np.array([0.5, 0.5]))
    assert np.array_equal(
        found.predictions.top5[:, 0], results.read_scored(paths[0]).predictions.top5[:, 0]
    )


def test_its_name_tells_networks_and_weights_apart(paths: list[Path]) -> None:
    of_three = averaged(paths, np.full(3, 1 / 3))
    others = averaged(paths, np.array([0.5, 0.25, 0.25]), "val")
    assert of_three.path.parent == paths[0].parent
    assert of_three.path.name.startswith("val-centre-last-ensemble-3-")
    assert others.path != of_three.path
    result = results.keep(others)
    assert results.read(others.path) == result
    assert result.members == tuple(str(run) for run in runs_of(paths))
    assert (result.mixture, result.fitted_on) == ((0.5, 0.25, 0.25), "val")


def test_results_of_other_images_or_without_all_probabilities_are_refused(
    paths: list[Path],
) -> None:
    scored = results.read_scored(paths[1])
    renamed = replace(scored.predictions, names=scored.predictions.names[::-1].copy())
    results.keep(replace(scored, predictions=renamed))
    with pytest.raises(DataError, match=r"expected the images, labels and classes of .*, found"):
        averaged(paths, np.full(3, 1 / 3))
    results.keep(replace(scored, predictions=replace(scored.predictions, all_probabilities=None)))
    with pytest.raises(DataError, match="expected the probabilities of all classes, found those"):
        averaged(paths, np.full(3, 1 / 3))


def alexrep(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


@pytest.fixture(scope="module")
def two_runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two finished runs of other seeds; read only."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.toml").write_text(tiny_recipe(2))
    runs = [folder / name for name in ("one", "two")]
    for seed, run in enumerate(runs):
        words = ("--recipe", folder / "tiny.toml", "--device", "cpu", "--seed", str(seed))
        assert alexrep("train", data, "--run", run, *words).exit_code == 0
    return runs


@pytest.fixture
def pair(two_runs: list[Path], tmp_path: Path) -> list[Path]:
    return [shutil.copytree(run, tmp_path / run.name) for run in two_runs]


def test_eval_of_several_runs_says_each_and_all_as_one(pair: list[Path], data: Path) -> None:
    words = ("eval", *pair, "--data", data, "--views", "centre,ten-crop", "--device", "cpu")
    said = alexrep(*words)
    assert said.exit_code == 0, said.output
    heads = [line for line in said.stdout.splitlines() if line.startswith("val, ")]
    ends = [line.partition(": ")[0] for line in heads]
    assert ends == [
        *("val, centre", "val, ten-crop") * 2,
        "val, centre, mean of 2 networks",
        "val, ten-crop, mean of 2 networks",
    ]
    assert "weights: " in said.stdout
    assert [line for line in said.stdout.splitlines() if line.endswith(":")] == [
        *(f"{run}:" for run in pair for _ in range(2)),
        *(f"{pair[0]} + {pair[1]}:" for _ in range(2)),
    ]
    tables = json.loads(alexrep(*words, "--json").stdout)
    members = [results.read_scored(run / "results" / "val-centre.json") for run in pair]
    everything = [member.predictions.all_probabilities for member in members]
    assert everything[0] is not None
    assert everything[1] is not None
    mean = everything[0].astype(float) + everything[1].astype(float)
    wrong = (mean.argmax(axis=1) != members[0].predictions.labels).sum() + 1  # one in quarantine
    assert tables[4]["top1_error"] == pytest.approx(wrong / 8)
    assert tables[4]["mixture"] == [0.5, 0.5]


def test_networks_are_scored_first_and_this_is_said_once(pair: list[Path], data: Path) -> None:
    alone = alexrep("eval", pair[0], "--data", data, "--device", "cpu")
    words = ("eval", *pair, "--data", data, "--device", "cpu")
    first, again = alexrep(*words), alexrep(*words)
    said = [line for line in first.stderr.splitlines() if "scored first" in line]
    assert said == [f"alexrep: {MEMBERS_FIRST}"]
    assert "expected" not in first.stderr
    assert alone.stdout.splitlines() == first.stdout.splitlines()[1:5]
    assert again.stdout == first.stdout
    assert again.stderr.count("scored before, nothing to do") == 2
    assert alexrep("-q", *words).stderr == ""


def test_networks_whose_results_cannot_be_kept_are_averaged(
    pair: list[Path], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("eval", *pair, "--data", data, "--weights", "search", "--device", "cpu", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(results, "keep", refuse)
        said = alexrep(*words)
    assert said.exit_code == 0, said.output
    assert said.stderr.count("what is printed was not kept") == 3
    assert not any((run / "results").exists() for run in pair)
    tables, kept = json.loads(said.stdout), json.loads(alexrep(*words).stdout)
    for table in (*tables, *kept):
        del table["predictions"]
    assert tables == kept


def refuse(scored: Scored) -> results.Result:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(scored.path))


def test_eval_searches_weights_on_val_for_another_split(pair: list[Path], data: Path) -> None:
    words = ("eval", *pair, "--data", data, "--split", "test", "--device", "cpu")
    said = alexrep(*words, "--weights", "search", "--json")
    assert said.exit_code == 0, said.output
    last = json.loads(said.stdout)[-1]
    expected = ensemble.search(read([run / "results" / "val-centre.json" for run in pair]))
    assert (last["split"], last["fitted_on"]) == ("test", "val")
    assert last["mixture"] == pytest.approx(expected.tolist())
    text = alexrep(*words, "--weights", "search").stdout
    assert "the weights were fitted on val\n" in text
    on_val = alexrep("eval", *pair, "--data", data, "--weights", "search", "--device", "cpu")
    assert "fitted on val: the very images of this error" in on_val.stdout


@pytest.mark.parametrize("text", ["1", "0.5,0.5,0.5", "a,b", "-1,2", "0,0", "nan,1", "inf,1"])
def test_weights_that_are_none_are_refused(pair: list[Path], data: Path, text: str) -> None:
    said = alexrep("eval", *pair, "--data", data, "--weights", text)
    assert said.exit_code == 2
    assert "--weights: expected search or 2 numbers from 0 up, found" in said.stderr


def test_weights_of_a_single_run_and_runs_of_other_classes_are_refused(
    pair: list[Path], data: Path
) -> None:
    said = alexrep("eval", pair[0], "--data", data, "--weights", "search")
    assert said.exit_code == 2
    assert "expected several runs to average, found one" in said.stderr
    table = json.loads((pair[1] / "classes.json").read_text())
    table[1]["wnid"] = "n00000031"
    (pair[1] / "classes.json").write_text(json.dumps(table))
    said = alexrep("eval", *pair, "--data", data)
    assert said.exit_code == 1
    assert "expected the 3 classes of" in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_a_submission_scored_by_its_command_has_the_errors_of_eval(
    pair: list[Path], data: Path, raw: Path, tmp_path: Path
) -> None:
    out, truth = tmp_path / "out.txt", raw / "DEMO_test_ground_truth.txt"
    words = ("eval", *pair, "--data", data, "--split", "test", "--device", "cpu", "--json")
    said = alexrep(*words, "--submission", out)
    assert said.exit_code == 0, said.output
    own = json.loads(said.stdout)[-1]
    scored = alexrep("score", out, "--truth", truth, "--classes", "3", "--json")
    assert json.loads(scored.stdout)["flat_error"][0] == pytest.approx(own["top1_error"])
    refused = alexrep(*words, "--submission", out, "--views", "centre,ten-crop")
    assert refused.exit_code == 2
    assert "--submission: expected one kind of views to write" in refused.stderr


def test_labels_of_a_file_stand_beside_the_datas_own(
    pair: list[Path], data: Path, raw: Path, tmp_path: Path
) -> None:
    words = ("eval", pair[0], "--data", data, "--device", "cpu", "--json")
    truth = raw / "DEMO_test_ground_truth.txt"
    own = json.loads(alexrep(*words, "--split", "test").stdout)
    other = json.loads(alexrep(*words, "--split", "test", "--labels", truth).stdout)
    assert other["labels"] == "DEMO_test_ground_truth"
    assert other["top1_error"] == own["top1_error"]
    real = tmp_path / "real.json"
    real.write_text(json.dumps([[number % 3] for number in range(8)]))
    usual = json.loads(alexrep(*words).stdout)
    again = json.loads(alexrep(*words, "--labels", real).stdout)
    assert (again["labels"], again["top1_error"]) == ("real", usual["top1_error"])
    names = {path.name for path in (pair[0] / "results").glob("*.json")}
    assert names == {
        "test-centre.json",
        "test-centre-last-DEMO_test_ground_truth.json",
        "val-centre.json",
        "val-centre-last-real.json",
    }
