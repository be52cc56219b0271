"""The format of results: versions, matching pairs of files, damage."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from alexrep import files
from alexrep.errors import DataError
from alexrep.runs import results
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Predictions, Result, Scored

RESULT = Result("val", "centre", "last", 3, 2, 0, 0.5, 0.5, 0.0, "w" * 64, "s" * 64)
PREDICTIONS = Predictions(
    names=np.array([b"a", b"bc"]),
    labels=np.array([1, 0]),
    top5=np.array([[1, 0], [1, 0]]),
    probabilities=np.array([[0.75, 0.25], [0.5, 0.5]], np.float32),
    sheet_images=np.zeros((1, 8, 8, 3), np.uint8),
    sheet_rows=np.array([1]),
    label_probabilities=np.array([0.75, 0.5], np.float32),
    credit=np.array([[1.0, 1.0], [0.0, 1.0]]),
)


@pytest.fixture
def scored(tmp_path: Path) -> Scored:
    """Return what has been written to RUN/results/val-centre.json."""
    scored = Scored(RunFolder(tmp_path).result("val", "centre"), RESULT, PREDICTIONS)
    return replace(scored, result=results.keep(scored))


@pytest.mark.parametrize(
    ("checkpoint", "labels", "name"),
    [
        ("last", "", "val-ten-crop.json"),
        ("best", "", "val-ten-crop-best.json"),
        ("last", "real", "val-ten-crop-last-real.json"),
        ("best", "real", "val-ten-crop-best-real.json"),
    ],
)
def test_the_name_says_what_is_not_usual(checkpoint: str, labels: str, name: str) -> None:
    path = RunFolder(Path("run")).result("val", "ten-crop", checkpoint, labels)
    assert path == Path("run/results") / name


def test_what_is_kept_is_read_again(scored: Scored, tmp_path: Path) -> None:
    again = results.read_scored(scored.path)
    assert again.result == scored.result == results.read_all(tmp_path)["val-centre"]
    assert again.result.version == results.VERSION
    for name, array in vars(PREDICTIONS).items():
        assert np.array_equal(getattr(again.predictions, name), array)


def test_all_probabilities_are_read_if_they_are_there(scored: Scored) -> None:
    everything = np.full((2, 2), 0.5, np.float16)
    predictions = replace(PREDICTIONS, all_probabilities=everything)
    results.keep(replace(scored, predictions=predictions))
    read = results.read_scored(scored.path).predictions.all_probabilities
    assert read is not None
    assert read.dtype == np.float16
    assert np.array_equal(read, everything)


def test_a_kill_between_arrays_and_errors_is_noticed(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_json", killed)
    other = replace(PREDICTIONS, labels=np.array([0, 0]))
    with pytest.raises(KeyboardInterrupt):
        results.keep(Scored(scored.path, RESULT, other))
    with pytest.raises(DataError, match="expected the predictions that"):
        results.read_scored(scored.path)


def test_a_pair_that_does_not_belong_together_is_noticed(scored: Scored, tmp_path: Path) -> None:
    other = replace(PREDICTIONS, labels=np.array([0, 0]))
    results.keep(Scored(tmp_path / "other.json", RESULT, other))
    (tmp_path / "other.npz").rename(scored.path.with_suffix(".npz"))
    wanted = r"val-centre\.npz: expected the predictions that val-centre\.json was counted from, "
    with pytest.raises(DataError, match=f"{wanted}found others; run alexrep eval again"):
        results.read_scored(scored.path)
    assert not results.has_its_predictions(scored.path, scored.result)


def test_a_result_of_version_1_needs_no_digest(scored: Scored) -> None:
    table = asdict(scored.result)
    for key in ("version", "predictions", "labels", "all_probabilities", "geometry"):
        del table[key]
    scored.path.write_text(json.dumps(table))
    again = results.read_scored(scored.path)
    assert again.result == replace(scored.result, version=1, predictions="")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"version": results.VERSION + 1}, "a fault at version"),
        ({"top1_error": "0.5"}, "a fault at top1_error"),
        ({"loss": float("nan")}, "a fault at loss"),
        ({"other": 1}, "a fault at other"),
    ],
)
def test_a_result_of_another_form_is_named(
    scored: Scored, changes: dict[str, object], fault: str
) -> None:
    scored.path.write_text(json.dumps(asdict(scored.result) | changes))
    with pytest.raises(DataError, match=rf"val-centre\.json: expected a result, found {fault} "):
        results.read(scored.path)


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a result, found none; run alexrep eval"):
        results.read(tmp_path / "val-centre.json")
