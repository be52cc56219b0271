"""Figure 1: where a curve reaches the target, its picture, and the command on a few images."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from alexrep.errors import DataError
from alexrep.plots import figure1, style
from alexrep.plots.figure1 import Line
from alexrep.stages import app
from alexrep.stages.cli import figure1_runs

MakeRun = Callable[..., Path]


def line(*errors: float, activation: str = "relu") -> Line:
    return Line(activation, 0.001, np.arange(1.0, len(errors) + 1), np.array(errors))


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes the log of a run with the given training errors."""

    def make(*errors: float, name: str = "relu-0.001", rate: float = 0.001) -> Path:
        rows = [
            {"kind": "epoch", "epoch": epoch, "train_error": error, "weights_rate": rate}
            for epoch, error in enumerate([None, *errors])
        ]
        rows[0]["weights_rate"] = None
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / name

    return make


def test_the_crossing_lies_between_two_epochs() -> None:
    assert line(0.5, 0.3, 0.2, 0.1).crossing(0.25) == pytest.approx(2.5)
    assert line(0.5, 0.3, 0.25).crossing(0.25) == 3


def test_the_first_of_several_crossings_counts() -> None:
    assert line(0.5, 0.2, 0.4, 0.1).crossing(0.35) == pytest.approx(1.5)


def test_an_error_that_starts_under_the_target_is_there_after_an_epoch() -> None:
    assert line(0.2, 0.1).crossing(0.25) == 1


def test_a_run_that_never_gets_there_has_no_crossing() -> None:
    assert line(0.5, 0.26).crossing(0.25) is None


def test_a_run_is_read_without_the_row_before_its_first_epoch(make_run: MakeRun) -> None:
    curve = figure1.read(make_run(0.5, 0.4, rate=0.002), "tanh")
    assert (curve.activation, curve.rate) == ("tanh", 0.002)
    assert (curve.epochs.tolist(), curve.errors.tolist()) == ([1, 2], [0.5, 0.4])


def test_a_run_without_a_finished_epoch_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(DataError, match=r"log.jsonl: expected a finished epoch, found none"):
        figure1.read(make_run(), "relu")


def test_the_summary_gives_both_and_their_ratio() -> None:
    lines = [line(0.5, 0.3, 0.2), line(0.6, 0.5, 0.4, 0.3, 0.25, activation="tanh")]
    assert figure1.summary(lines, 0.25) == (
        "to 25 % training error: ReLU 2.5 epochs, tanh 5.0 epochs, 2.00 times as many"
    )


def test_the_summary_claims_no_ratio_where_one_never_gets_there() -> None:
    lines = [line(0.5, 0.2), line(0.6, 0.5, activation="tanh")]
    assert figure1.summary(lines, 0.25).endswith("ReLU 1.8 epochs, tanh not in 2 epochs")


def test_the_picture_is_the_same_each_time_and_marks_each_crossing(tmp_path: Path) -> None:
    lines = [line(0.5, 0.3, 0.2), line(0.6, 0.5, 0.4, activation="tanh")]
    for name in ("one", "other"):
        style.save(figure1.draw(lines, 0.25), tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    style.save(figure1.draw(lines, 0.1), tmp_path / "unmarked.png")
    assert (tmp_path / "unmarked.png").read_bytes() != (tmp_path / "one.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1200, 705))


def test_the_words_at_a_late_crossing_stay_on_the_page(tmp_path: Path) -> None:
    late = line(*[0.5] * 30, 0.2)
    style.save(figure1.draw([late], 0.25), tmp_path / "late.png")
    with Image.open(tmp_path / "late.png") as picture:
        assert (np.asarray(picture.convert("L"))[:, -20:] == 255).all()


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("schedule.epochs=3", "--epochs"),
        ("schedule.changes=[]", "--rate"),
        ("model.activation='tanh'", "figure1 itself"),
        ("limits.batches=3", "--quick"),
    ],
)
def test_a_field_of_its_own_is_refused(tmp_path: Path, setting: str, option: str) -> None:
    words = ["figure1", str(tmp_path), str(tmp_path / "out"), "--quick", "--set", setting]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert f"--set {setting}: expected a field that nothing else sets, found {option};" in (
        result.stderr
    )


def runs(out: Path, *rates: float) -> figure1_runs.Runs:
    return figure1_runs.Runs(Path("data"), out, rates, "cpu", ("model.width=0.25",))


def test_the_first_at_the_target_is_the_best_and_limits_the_others(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(figure1_runs, "start", lambda *words: started.append(words))
    make_run(0.5, 0.3, 0.2)
    make_run(0.4, 0.2, name="relu-0.002", rate=0.002)
    make_run(0.6, 0.5, name="relu-0.004", rate=0.004)
    best = runs(tmp_path, 0.001, 0.002, 0.004).best("relu", 60)
    assert best.rate == 0.002
    epochs = [word for words in started for word in words if word.startswith("schedule.epochs")]
    assert epochs == ["schedule.epochs=60", "schedule.epochs=3", "schedule.epochs=2"]
    assert all("model.width=0.25" in words for words in started)


def test_where_none_gets_there_the_lowest_is_taken(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure1_runs, "start", lambda *words: None)
    make_run(0.5, 0.4, name="tanh-0.001")
    make_run(0.5, 0.3, name="tanh-0.002", rate=0.002)
    assert runs(tmp_path, 0.001, 0.002).best("tanh", 2).rate == 0.002


def test_a_rate_that_diverges_is_passed_over_aloud_and_a_signal_ends_all(
    tmp_path: Path,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    codes = {"relu-0.5": 1, "relu-0.001": 0, "relu-0.002": 75}

    def leave(*words: str) -> None:
        code = codes[Path(words[words.index("--run") + 1]).name]
        if code:
            raise typer.Exit(code)

    monkeypatch.setattr(figure1_runs, "start", leave)
    make_run(0.5, 0.2)
    assert runs(tmp_path, 0.5, 0.001).best("relu", 9).rate == 0.001
    assert "relu-0.5: passed over" in capsys.readouterr().err
    for rates in ((0.5,), (0.001, 0.002)):
        with pytest.raises(typer.Exit) as left:
            runs(tmp_path, *rates).best("relu", 9)
        assert left.value.exit_code == {1: 1, 2: 75}[len(rates)]


def test_a_best_rate_at_the_end_of_the_list_is_said(
    tmp_path: Path,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(figure1_runs, "start", lambda *words: None)
    make_run(0.5, 0.4)
    make_run(0.5, 0.2, name="relu-0.002", rate=0.002)
    make_run(0.6, 0.5, name="relu-0.004", rate=0.004)
    runs(tmp_path, 0.002, 0.001, 0.004).best("relu", 9)
    assert not capsys.readouterr().err
    make_run(0.5, 0.1, name="relu-0.008", rate=0.008)
    runs(tmp_path, 0.001, 0.004, 0.008).best("relu", 9)
    assert "relu: best at 0.008, the last of the rates" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_both_and_says_the_same_when_started_again(
    data: Path, tmp_path: Path
) -> None:
    words = ["figure1", str(data), str(tmp_path / "out"), "--epochs", "2", "--device", "cpu"]
    words += ["--rate", "0.001", "--set", "model.width=0.1", "--set", "prepared_side=none"]
    first, again = (CliRunner().invoke(app, words, prog_name="alexrep") for _ in range(2))
    assert first.exit_code == again.exit_code == 0, first.output
    summary = f"{tmp_path}/out/figure1.png: to 25 % training error: ReLU "
    assert summary in first.stdout
    assert first.stdout.splitlines()[-1] == again.stdout.splitlines()[-1]
    document = json.loads((tmp_path / "out/figure1.json").read_text())
    assert (document["target"], document["rates"]) == (0.25, [0.001])
    assert {document[activation]["rate"] for activation in ("relu", "tanh")} == {0.001}
    tanh = (tmp_path / "out/tanh-0.001/recipe.toml").read_text()
    assert 'activation = "tanh"' in tanh
    assert "weight_decay = 0.0\n" in tanh
