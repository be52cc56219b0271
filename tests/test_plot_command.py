"""`alexrep plot`: which pictures of which runs go where, and what is said of the others."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from alexrep.plots import gallery
from alexrep.runs.folder import RunFolder
from alexrep.stages import app, plot

MakeRun = Callable[..., RunFolder]


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")


def names(folder: Path) -> list[str]:
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in paths]


def test_the_help_names_every_picture() -> None:
    assert plot.PICTURES.split(", ") == list(gallery.FIGURES)


def test_one_picture_alone_is_drawn_in_the_format_that_is_asked_for(make_run: MakeRun) -> None:
    run = make_run("run").path
    result = alexrep("plot", run, "--only", "curves", "--format", "svg")
    assert (result.exit_code, names(run / "plots")) == (0, ["curves.svg"])
    assert result.stdout == f"curves: {run}/plots/curves.svg\n"
    assert (run / "plots" / "curves.svg").read_text().startswith("<?xml")


def test_what_cannot_be_drawn_is_said_in_a_line_each(make_run: MakeRun) -> None:
    run = make_run("run").path
    words = ("plot", run, "--only", "predictions", "--only", "mean-image", "--only", "curves")
    result = alexrep(*words)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)
    assert "expected results, found none yet; run alexrep eval" in result.stdout
    assert "expected a mean image, found none" in result.stdout
    assert names(run / "plots") == ["curves.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "curve"), "--only: expected curves, kernels, "),
        (("--only", "kernls"), "found 'kernls'; did you mean kernels?"),
        (("--format", "jpg"), "--format: expected png or svg, found 'jpg'; choose one"),
    ],
)
def test_what_is_not_known_is_refused_on_one_line(
    words: tuple[str, ...], message: str, make_run: MakeRun
) -> None:
    result = alexrep("plot", make_run("run").path, *words)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert message in result.stderr


def test_several_runs_have_their_curves_in_one_picture_and_folders_of_their_own(
    make_run: MakeRun, tmp_path: Path
) -> None:
    (tmp_path / "keras.csv").write_text("time,epoch,loss,val_accuracy\n1,0,3,0.25\n")
    runs = [make_run("a").path, make_run("b").path, tmp_path / "keras.csv"]
    result = alexrep("plot", *runs, "--out", tmp_path / "out", "--only", "curves")
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "out") == [
        *("a/curves.png", "b/curves.png", "curves.png", "keras/curves.png")
    ]
    assert result.stderr == (
        f"alexrep: {runs[2]}: columns not understood, and not drawn: time; "
        "epochs counted from 0: drawn from 1\n"
    )


def test_the_curves_of_one_log_are_drawn_once(tmp_path: Path) -> None:
    (tmp_path / "keras.csv").write_text("epoch,loss,val_accuracy\n1,3,0.25\n")
    result = alexrep("plot", tmp_path / "keras.csv", "--out", tmp_path / "out")
    assert result.stdout == f"curves: {tmp_path}/out/curves.png\n"
    assert names(tmp_path / "out") == ["curves.png"]


def test_pictures_of_what_was_exported_need_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    result = alexrep("plot", tmp_path)
    assert result.exit_code == 2
    assert "a CSV log or of an exported network, found none; name one" in result.stderr


def test_pictures_of_several_runs_need_a_folder(make_run: MakeRun) -> None:
    result = alexrep("plot", make_run("a").path, make_run("b").path)
    assert result.exit_code == 2
    assert "--out: expected a folder for pictures of several runs" in result.stderr


def test_a_run_that_is_named_twice_is_refused_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a").path
    result = alexrep("plot", run, run, "--out", tmp_path / "out")
    assert result.stderr.count("expected each run once") == 1
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)


def test_a_folder_that_is_no_run_is_refused_before_anything_is_drawn(
    make_run: MakeRun, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    words = ("plot", make_run("a").path, tmp_path / "none", "--out", tmp_path / "out")
    result = alexrep(*words)
    assert (result.exit_code, (tmp_path / "out").exists()) == (1, False)
    assert "none: expected a run folder, found no recipe.toml" in result.stderr


def test_another_format_is_no_reason_to_do_nothing(make_run: MakeRun) -> None:
    run = make_run("run")
    for path in run.checkpoints.iterdir():
        path.unlink()
    assert alexrep("plot", run.path).exit_code == 0
    assert "nothing to do" in alexrep("plot", run.path).stdout
    assert "curves.svg" in alexrep("plot", run.path, "--format", "svg").stdout
    with Image.open(run.path / "plots" / "curves.png") as picture:
        assert picture.size[0] == 1200
