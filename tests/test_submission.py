"""Submissions to ILSVRC: written, read, scored; the official scores of 2010's demo predictions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alexrep.errors import DataError
from alexrep.evaluation import submission
from alexrep.ilsvrc import devkit
from alexrep.ilsvrc.classes import of_leaves
from alexrep.runs.results import Predictions, Result, Scored
from alexrep.stages import app

TABLE = of_leaves([("n1", 3, "cat", 1), ("n2", 1, "dog", 1), ("n3", 2, "crane", 1)])
RESULT = Result("test", "centre", "last", 3, 3, 0, None, None, None, "w" * 64, "s" * 64)


def scored(names: list[bytes], num_quarantined: int = 0) -> Scored:
    """Return a result of images that are taken for classes 0, 1, 2, in turn."""
    top = np.array([np.roll([0, 1, 2], -row) for row in range(len(names))])
    kept = Predictions(
        names=np.array(names),
        labels=np.full(len(names), -1),
        top5=top,
        probabilities=np.full(top.shape, 1 / 3, np.float32),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=np.full(len(names), np.nan, np.float32),
        credit=np.full((len(names), 2), np.nan),
    )
    return Scored(Path("x.json"), replace(RESULT, num_quarantined=num_quarantined), kept)


def test_lines_are_devkit_ids_in_the_order_of_the_names(tmp_path: Path) -> None:
    names = [b"x_00000003.JPEG", b"x_00000001.JPEG", b"x_00000002.JPEG"]
    assert submission.write(tmp_path / "out.txt", scored(names), TABLE) == []
    assert (tmp_path / "out.txt").read_text() == "1 2 3\n2 3 1\n3 1 2\n"
    again = submission.read(tmp_path / "out.txt", 3)
    assert again.tolist() == [[1, 2, 3, 0, 0], [2, 3, 1, 0, 0], [3, 1, 2, 0, 0]]


def test_an_image_in_quarantine_has_a_line_so_that_the_others_keep_theirs(tmp_path: Path) -> None:
    one = scored([b"x_00000001.JPEG", b"x_00000004.JPEG"], num_quarantined=2)
    assert submission.write(tmp_path / "out.txt", one, TABLE) == ["2", "3"]
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert lines == ["3 1 2", "1 2 3", "1 2 3", "1 2 3"]
    wanted = "expected images whose names end in a number each, from 1 to 3, found"
    for names in ([b"a.JPEG", b"b.JPEG"], [b"x_1.JPEG", b"y_1.JPEG"]):
        with pytest.raises(DataError, match=f"{wanted} {names[-1].decode()[0]}|{wanted} a"):
            submission.write(tmp_path / "out.txt", scored(names, 1), TABLE)


@pytest.mark.parametrize("line", ["0", "4", "1 x", "1.0", "1 2 3 1 2 3", "-1"])
def test_what_is_no_line_of_ids_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "out.txt").write_text(f"1 2\n{line}\n")
    wanted = "expected at most 5 ids from 1 to 3 in line 2, found "
    with pytest.raises(DataError, match=wanted):
        submission.read(tmp_path / "out.txt", 3)


def test_a_truth_is_one_id_a_line_of_the_same_images(tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    truth.write_text("3\n1\n")
    assert submission.read_truth(truth, 2, 3).tolist() == [3, 1]
    with pytest.raises(DataError, match="expected 3 lines, as the submission has, found 2"):
        submission.read_truth(truth, 3, 3)
    truth.write_text("3\n\n")
    with pytest.raises(DataError, match="expected one id a line, found others"):
        submission.read_truth(truth, 2, 3)


def test_errors_are_those_of_naive_loops() -> None:
    rng = np.random.default_rng(1)
    guesses = np.array([rng.permutation(20)[:5] + 1 for _ in range(60)])
    guesses[::9, 3:] = 0
    guesses[7] = 0
    truth, cost = rng.integers(1, 21, 60), rng.integers(1, 19, (20, 20)).astype(np.uint8)
    np.fill_diagonal(cost, 0)
    for most in range(1, 6):
        flat = heights = 0.0
        for line, label in zip(guesses.tolist(), truth.tolist(), strict=True):
            given = [guess for guess in line[:most] if guess]
            flat += label not in given
            heights += min((float(cost[label - 1, guess - 1]) for guess in given), default=18.0)
        assert submission.flat_errors(guesses, truth)[most - 1] == pytest.approx(flat / 60)
        found = submission.hierarchical_errors(guesses, truth, cost)[most - 1]
        assert found == pytest.approx(heights / 60)


def test_the_command_prints_both_errors(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("1 2\n2 3\n")
    (tmp_path / "truth.txt").write_text("2\n1\n")
    words = ["score", str(tmp_path / "out.txt"), "--truth", str(tmp_path / "truth.txt")]
    said = CliRunner().invoke(app, [*words, "--classes", "3"])
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[2].split() == ["flat", *["1.0000"], *["0.5000"] * 4]
    table = json.loads(CliRunner().invoke(app, [*words, "--classes", "3", "--json"]).stdout)
    assert table == {"num_images": 2, "flat_error": [1.0, 0.5, 0.5, 0.5, 0.5]}


@pytest.mark.parametrize("content", ["", "1 2 3 4 5 6\n"])
def test_a_submission_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    for name in ("out.txt", "truth.txt"):
        (tmp_path / name).write_text(content)
    words = ["score", str(tmp_path / "out.txt"), "--truth", str(tmp_path / "truth.txt")]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 1
    assert len(said.stderr.splitlines()) == 1
    assert ": expected " in said.stderr


def test_a_submission_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    for path, found in (
        (tmp_path / "none", "no such file or directory"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(DataError, match=f"expected a submission, found {found}; name"):
            submission.read(path, 3)


def test_a_devkit_without_costs_is_named(raw: Path) -> None:
    with pytest.raises(DataError, match=r"expected a cost_matrix in meta.mat, found none; name"):
        devkit.read_cost_matrix(raw / "DEMO_devkit.tar.gz")
    wanted = r"expected a devkit, with data/meta\.mat, found"
    with pytest.raises(
        DataError, match=rf"nowhere: {wanted} nothing there; name a devkit's tar, or"
    ):
        devkit.read_cost_matrix(raw / "nowhere")
    with pytest.raises(
        DataError, match=rf"raw.*: {wanted} DEMO_devkit\.tar\.gz, .* and \d more; name"
    ):
        devkit.read_cost_matrix(raw)
    with pytest.raises(
        DataError, match=rf"val\.tar: {wanted} DEMO_val_.*; name a devkit's tar, or"
    ):
        devkit.read_cost_matrix(raw / "DEMO_img_val.tar")


def test_the_official_scores_of_2010s_demo_predictions(real_data: Path) -> None:
    """Known from the devkit's readme."""
    kit = real_data / "devkits" / "ilsvrc2010"
    guesses = submission.read(kit / "evaluation" / "demo.val.pred.txt", 1000)
    truth_file = kit / "data" / "ILSVRC2010_validation_ground_truth.txt"
    truth = submission.read_truth(truth_file, 50_000, 1000)
    cost = devkit.read_cost_matrix(kit)
    assert submission.flat_errors(guesses, truth).round(4).tolist() == [
        *(0.9101, 0.8716, 0.8422, 0.8191, 0.8003)
    ]
    assert submission.hierarchical_errors(guesses, truth, cost).round(4).tolist() == [
        *(10.3468, 8.7489, 7.8510, 7.2221, 6.7695)
    ]
