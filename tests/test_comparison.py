"""Curves of several runs in one picture, with published errors as lines."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from alexrep.config import recipes
from alexrep.errors import ConfigError, DataError
from alexrep.ilsvrc.classes import Synset
from alexrep.plots import comparison, curves, levels, panels, style
from alexrep.runs import contents
from alexrep.runs.folder import RunFolder

MakeRun = Callable[..., RunFolder]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def give_classes(run: Path, num: int) -> None:
    rows = [vars(Synset(i, f"n{i:08}", i + 1, f"class {i}", 9)) for i in range(num)]
    (run / "classes.json").write_text(json.dumps(rows))


def test_each_run_is_labelled_at_its_end_with_its_last_error(make_run: MakeRun) -> None:
    runs = [make_run(name, errors=(0.9, last)).path for name, last in (("a", 0.5), ("b", 0.25))]
    found = texts(comparison.draw(runs))
    assert {"50.0 % a", "25.0 % b", "12.5 % b"} <= set(found)


def test_long_names_stand_in_a_key_and_their_differences_at_the_ends(make_run: MakeRun) -> None:
    whole = [f"alexnet-imagenette-lr0.0{number}-seed1" for number in (1, 2)]
    figure = comparison.draw([make_run(name).path for name in whole])
    found = texts(figure)
    assert {*whole, "37.5 % lr0.01", "37.5 % lr0.02"} <= set(found)
    assert not [text for text in found if style.ELLIPSIS in text]
    thin = ("1.5 train lr0.01", "1.5 train lr0.02")
    assert {text for text in found if " train " in text} == set(thin)


def test_many_runs_have_no_labels_at_their_thin_lines(make_run: MakeRun) -> None:
    found = texts(comparison.draw([make_run(name).path for name in "abcdefg"]))
    assert not [text for text in found if " train " in text]


@pytest.mark.parametrize(
    ("names", "apart"),
    [
        (["a-b-seed1", "a-b-seed2"], ["seed1", "seed2"]),
        (["x/lr0.01-s", "x/lr0.02-s"], ["lr0.01", "lr0.02"]),
        (["run", "run-2"], ["run", "run-2"]),
        (["x-a", "a"], ["x-a", "a"]),
        (["a-b", "a-c-b"], ["b", "c-b"]),
        (["alone"], ["alone"]),
    ],
)
def test_names_are_told_apart_by_their_parts(names: list[str], apart: list[str]) -> None:
    assert comparison.told_apart(names) == apart


def test_a_log_of_another_program_stands_beside_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "keras.csv").write_text("epoch,loss,val_accuracy\n0,3,0.25\n1,2,0.5\n")
    figure = comparison.draw([make_run("run").path, tmp_path / "keras.csv"])
    assert "50.0 % keras" in texts(figure)


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [tmp_path / "x" / "seed1", tmp_path / "y" / "seed1"]
    assert contents.names_of(runs) == ["x/seed1", "y/seed1"]
    assert contents.names_of(runs[:1]) == ["seed1"]
    assert contents.name_of(tmp_path / "demo" / "run") == "demo/run"
    with pytest.raises(ConfigError, match="RUN: expected each run once"):
        contents.names_of([runs[0], runs[0]])


def test_logs_without_epochs_are_not_drawn_among_those_with(
    make_run: MakeRun, tmp_path: Path
) -> None:
    (tmp_path / "caffe.csv").write_text("NumIters,loss\n100,3\n")
    (tmp_path / "keras.csv").write_text("epoch,loss\n1,3\n")
    with pytest.raises(DataError, match="expected epochs or steps in all of the logs"):
        comparison.draw([tmp_path / "caffe.csv", tmp_path / "keras.csv"])
    figure = comparison.draw([make_run("run").path, tmp_path / "caffe.csv"])
    assert figure.axes[-1].get_xlabel() == "step"


def test_a_run_that_has_finished_no_epoch_is_named(make_run: MakeRun) -> None:
    folder = make_run("new")
    folder.log.write_text("")
    with pytest.raises(DataError, match="new: expected a finished epoch, found none yet"):
        comparison.draw([folder.path])


@pytest.mark.parametrize(
    ("recipe", "num_classes", "top1"),
    [
        ("alexnet-2010", 1000, [37.5, 39.0]),
        ("alexnet-2012", 1000, [40.7, 42.3]),
        ("alexnet-2012", 10, []),
        ("cifar10-11pct", 10, [11.0]),
        ("cifar10-11pct", 100, []),
        ("demo", 10, []),
    ],
)
def test_published_errors_are_drawn_for_their_own_classes_only(
    recipe: str, num_classes: int, top1: list[float], tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(recipes.dump(recipes.load(recipe)))
    give_classes(tmp_path, num_classes)
    assert [line.top1 for line in levels.of(tmp_path)] == top1


def test_the_paper_is_labelled_in_the_curves_of_one_run(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.recipe.write_text(recipes.dump(recipes.load("alexnet-2010")))
    give_classes(folder.path, 1000)
    found = texts(curves.draw(folder.path))
    assert {"paper, ten-crop 37.5 %", "paper, ten-crop 17 %", "val top-1 37.5 %"} <= set(found)


@pytest.mark.parametrize(
    ("errors", "scale", "foot"),
    [
        ([90.0, 40.0, 20.0], "linear", 0.0),
        ([90.0, 3.0, 0.5], "log", 0.5 / 1.3),
        ([90.0, 3.0, 0.5, 0.0], "log", 0.25),
        ([3.0, 2.0], "linear", 0.0),
        ([np.nan], "linear", 0.0),
        ([0.0, 0.0], "linear", 0.0),
    ],
)
def test_small_errors_have_a_log_axis(errors: list[float], scale: str, foot: float) -> None:
    with style.canvas(3) as figure:
        (panel,) = panels.stack(figure, [(1.0, 1.0)])
        assert panels.scale_errors(panel, np.array(errors)) == pytest.approx(foot)
    assert panel.get_yscale() == scale
