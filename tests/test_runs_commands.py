"""`alexrep runs` from outside."""

import csv
import dataclasses
import io
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep import locks
from alexrep.config import recipes
from alexrep.owner import this_process
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder
from alexrep.stages import app, runs

MakeRun = Callable[..., RunFolder]
COMMANDS = [info.name or "" for info in runs.app.registered_commands]


def alexrep(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["runs", *map(str, words)], prog_name="alexrep")


def done(*words: str | Path) -> str:
    result = alexrep(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_about_runs() -> None:
    assert COMMANDS == ["list", "show", "diff", "new", "copy", "note", "csv", "prune"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(name: str) -> None:
    assert f"Example: alexrep runs {name}" in done(name, "--help")
    assert done(name, "-h")


def test_without_a_command_there_is_help() -> None:
    result = alexrep()
    assert result.exit_code == 2
    assert "Usage: alexrep runs" in result.output


def test_list_prints_a_line_for_each_run(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("one", is_finished=True)
    make_run("other", errors=())
    head, first, other = done("list", tmp_path).splitlines()
    assert head.split("  ")[0] == "run"
    assert first.split() == [str(tmp_path / "one"), "demo", "finished", "3", "25.00", "%"]
    assert other.split() == [str(tmp_path / "other"), "demo", "not", "begun", "0"]


def test_list_as_json_is_one_document(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("one")
    (row,) = json.loads(done("list", tmp_path, "--json"))
    assert row["state"] == "stopped at epoch 3 of 45"
    assert row["best_val_top1_error"] == 0.25


def test_list_of_nothing_says_so_on_stderr(tmp_path: Path) -> None:
    result = alexrep("list", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"alexrep: {tmp_path}: no runs\n"
    assert json.loads(done("list", tmp_path, "--json")) == []


def test_show_prints_source_departures_epochs_and_results(make_run: MakeRun) -> None:
    folder = make_run("run", is_finished=True)
    folder.layers.write_text('{"total": {"parameters": 60965224, "multiply_adds": 724406816}}')
    shown = done("show", folder.path).splitlines()
    assert "network: 60,965,224 parameters, 724,406,816 multiply-adds an image" in shown
    assert shown[0].endswith("run: demo, finished")
    assert any(line.startswith("source: Ours: net 145") for line in shown)
    assert "  width: 0.25; net 145: 1" in shown
    assert "3      1.5         62.50 %      1.25      37.50 %  18.75 %  0.01" in shown
    assert "val-ten-crop: top-1 error 12.50 %, top-5 6.25 %" in shown


def test_show_as_json_is_one_document(make_run: MakeRun) -> None:
    document = json.loads(done("show", make_run("run").path, "--json"))
    assert len(document["rows"]) == 4


def test_diff_puts_errors_side_by_side(make_run: MakeRun) -> None:
    first, other = make_run("one"), make_run("other", "seed=2", errors=(0.9, 0.75))
    shown = done("diff", first.path, other.path).splitlines()
    assert shown[0] == "seed: 1 -> 2"
    assert [line.split()[1:] for line in shown if line.startswith("val_top1")] == [
        ["37.50", "%", "75.00", "%"]
    ]
    assert json.loads(done("diff", first.path, other.path, "--json"))["errors"]["epoch"] == [3, 1]


def test_diff_names_the_epochs_whose_rates_differ(make_run: MakeRun) -> None:
    changes = "[{epoch=0,weights=0.003,biases=0.006},{epoch=2,noise=false},{epoch=4,weights=0.1}]"
    settings = ("schedule.epochs=6", "checkpoints.keep_epochs=2")
    first, other = make_run("one", *settings), make_run("other", *settings)
    other = make_run("third", *settings, f"schedule.changes={changes}")
    shown = done("diff", first.path, other.path).splitlines()
    assert shown[:2] == [
        "schedule, epochs 2 to 3: colour noise on -> off",
        "schedule, epochs 4 to 5: rate of weights 0.003 -> 0.1, colour noise on -> off",
    ]
    assert json.loads(done("diff", first.path, other.path, "--json"))["rates"] == shown[:2]


def test_list_as_csv_has_settings_and_scores(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("done", is_finished=True)
    make_run("other", "schedule.stop={metric='val_loss'}", "limits.classes=['a','b']")
    make_run("spoilt").recipe.write_text("no recipe")
    text = done("list", tmp_path, "--csv")
    rows = {Path(row["run"]).name: row for row in csv.DictReader(io.StringIO(text))}
    assert list(rows) == ["done", "other", "spoilt"]
    assert (rows["done"]["state"], rows["done"]["feed.batch_size"]) == ("finished", "32")
    assert float(rows["done"]["val-ten-crop top1_error"]) < 1
    assert rows["other"]["schedule.stop.metric"] == "val_loss"
    assert rows["other"]["limits.classes"] == '["a", "b"]'
    assert rows["other"]["val-ten-crop top1_error"] == ""
    assert rows["spoilt"]["state"].startswith("unreadable: ")


def test_new_makes_the_next_version_and_overwrites_nothing(tmp_path: Path) -> None:
    def new(base: str | Path) -> Path:
        return Path(done("new", base, "wide", "--folder", tmp_path).partition(":")[0])

    first = new("alexnet-2012")
    assert first == tmp_path / "wide-v01.toml"
    assert tomllib.loads(first.read_text()) == {"name": "wide-v01", "base": "alexnet-2012"}
    assert recipes.load(str(first)).model == recipes.load("alexnet-2012").model
    first.write_text(f"{first.read_text()}time = 'a day'\n[model]\nwidth = 0.5\n")
    (tmp_path / "wide-v07.toml").touch()
    second = new(first)
    assert second.name == "wide-v08.toml"
    assert tomllib.loads(second.read_text()) == {
        "name": "wide-v08",
        "base": "alexnet-2012",
        "model": {"width": 0.5},
    }
    assert (tmp_path / "wide-v07.toml").read_text() == ""


def test_a_version_of_a_runs_recipe_is_whole_and_of_no_recipe_one_line(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("run", "feed.batch_size=16")
    path = Path(done("new", run.recipe, "mine", "--folder", tmp_path).partition(":")[0])
    assert recipes.load(str(path)).feed.batch_size == 16
    result = alexrep("new", "nosuch", "mine", "--folder", tmp_path)
    assert (result.exit_code, "found no such recipe" in result.stderr) == (2, True)
    result = alexrep("new", "demo", "a/b", "--folder", tmp_path)
    assert "NAME: expected letters, digits, . _ and -, found 'a/b'" in result.stderr


def test_diff_of_equal_recipes_says_so(make_run: MakeRun) -> None:
    folder = make_run("run")
    assert done("diff", folder.path, folder.path).startswith("equal recipes\n")


def test_net_145_departs_in_nothing(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.recipe.write_text(recipes.dump(recipes.load("alexnet-2012")))
    assert "departs from net 145: in nothing" in done("show", folder.path).splitlines()


@pytest.mark.parametrize(
    ("recipe", "is_said"), [("alexnet-paper", True), ("alexnet-2012-tanh", False)]
)
def test_the_numbers_of_the_departures_are_explained(
    make_run: MakeRun, recipe: str, is_said: bool
) -> None:
    folder = make_run("run")
    folder.recipe.write_text(recipes.dump(recipes.load(recipe)))
    assert ("(D1 to D5, in which" in done("show", folder.path)) is is_said


def test_copy_says_how_to_go_on(make_run: MakeRun, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shown = done("copy", make_run("run").path, new)
    assert f"alexrep train DATA --run {new} --recipe {new}/recipe.toml" in shown
    again = alexrep("copy", tmp_path / "run", new)
    assert again.exit_code == 1
    assert again.stderr.startswith(f"alexrep: {new}: expected no such folder yet, found one;")


def test_note_is_listed(make_run: MakeRun) -> None:
    folder = make_run("run")
    line = done("note", folder.path, "by hand").strip()
    assert line.endswith(" by hand")
    assert line in done("list", folder.path)
    assert f"note: {line}" in done("show", folder.path)


def test_csv_names_the_file_it_wrote(make_run: MakeRun) -> None:
    path = Path(done("csv", make_run("run").path).strip())
    with path.open() as stream:
        assert [row["val_top1_error"] for row in csv.DictReader(stream)] == [
            *("0.9", "0.5", "0.25", "0.375")
        ]


@pytest.fixture
def with_damaged_best(make_run: MakeRun) -> RunFolder:
    """Return a run with a whole last checkpoint and a damaged best one."""
    folder = make_run("run")
    checkpoint.save(folder.checkpoint("last"), {"epoch": 3})
    return folder


def test_prune_removes_what_is_of_no_use(with_damaged_best: RunFolder) -> None:
    folder = with_damaged_best
    shown = done("prune", folder.path)
    assert shown.startswith(f"{folder.checkpoint('best')}: 0.0 MB, removed\n")
    assert f"{folder.path}: 1 checkpoint removed" in shown
    assert not folder.checkpoint("best").exists()
    assert folder.checkpoint("last").exists()


def test_prune_of_a_dry_run_removes_nothing(with_damaged_best: RunFolder) -> None:
    folder = with_damaged_best
    document = json.loads(done("prune", folder.path, "--dry-run", "--json"))
    assert document["bytes"] == {str(folder.checkpoint("best")): 4}
    assert folder.checkpoint("best").exists()


def test_prune_leaves_a_run_alone_that_another_process_holds(with_damaged_best: RunFolder) -> None:
    folder = with_damaged_best
    with locks.held(folder.path):
        result = alexrep("prune", folder.path)
        assert result.exit_code == 1
        assert "expected one writer, found another process at work" in result.stderr
    assert folder.checkpoint("best").exists()


def test_prune_with_nothing_to_remove_takes_no_lock(make_run: MakeRun) -> None:
    folder = make_run("run")
    with locks.held(folder.path):
        assert f"{folder.path}: 0 checkpoints removed" in done("prune", folder.path)


def test_a_run_that_is_held_is_under_way(make_run: MakeRun) -> None:
    folder = make_run("run")
    with locks.held(folder.path):
        assert "under way at epoch 3 of 45" in done("list", folder.path)
    assert "stopped at epoch 3 of 45" in done("list", folder.path)


def test_a_run_whose_process_was_killed_is_not_under_way(make_run: MakeRun) -> None:
    folder = make_run("run")
    me = this_process()
    with locks.held(folder.path, me=dataclasses.replace(me, pid=2**22 + 1)):
        assert "stopped at epoch 3 of 45" in done("list", folder.path)


@pytest.mark.parametrize("words", [["show"], ["csv"], ["prune"], ["note", "x"], ["copy", "new"]])
def test_a_folder_that_is_no_run_is_one_line(words: list[str], tmp_path: Path) -> None:
    command, *rest = words
    result = alexrep(command, tmp_path / "none", *[tmp_path / word for word in rest])
    assert result.exit_code == 1
    assert "expected a run folder, found no such folder; name" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_names_what_the_images_and_every_training_depart_in(make_run: MakeRun) -> None:
    folder = make_run("run")
    assert "  images: not recorded" in done("show", folder.path).splitlines()
    folder.data.write_text('{"geometry": "squash", "quality": 95, "filter": "bicubic"}')
    lines = done("show", folder.path).splitlines()
    start = lines.index("images and program depart from 2012:")
    assert lines[start + 1 : start + 4] == [
        "  geometry: squash; 2012: crop",
        "  JPEG quality: 95; 2012: 85, as a folder's name suggests",
        "  filter of rescaling: bicubic; 2012: not known",
    ]
    assert "ties in max pooling" in lines[start + 4]


@pytest.mark.parametrize("content", ["", "[]", "{}", "null"])
def test_a_damaged_record_of_the_images_is_one_line(make_run: MakeRun, content: str) -> None:
    folder = make_run("run")
    folder.data.write_text(content)
    result = alexrep("show", folder.path)
    assert result.exit_code == 1
    assert "data.json: expected what the images are, found" in result.stderr


def test_diff_prints_values_as_toml(make_run: MakeRun) -> None:
    first = make_run("one")
    other = make_run("other", "compute.compile=true", "limits.classes=['a','b']", "limits.steps=3")
    shown = done("diff", first.path, other.path).splitlines()
    assert shown[:3] == [
        "compute.compile: false -> true",
        'limits.classes: [] -> ["a", "b"]',
        "limits.steps: none -> 3",
    ]


def test_diff_prints_common_departures_once(make_run: MakeRun) -> None:
    first, other = make_run("one"), make_run("other", "feed.batch_size=64")
    shown = done("diff", first.path, other.path)
    assert shown.count("width: 0.25; net 145: 1\n") == 1
    assert "both depart from net 145:\n" in shown
    assert f"{other.path} departs from net 145:\n  batch size: 64; net 145: 128\n" in shown
    assert " departs " not in done("diff", first.path, first.path)


def test_show_says_of_what_the_errors_are_expected(make_run: MakeRun) -> None:
    begun, other = make_run("begun"), make_run("other", "schedule.epochs=50", "seed=3")
    expected = recipes.load("demo").expected
    assert f"\nexpected at the end: {expected}\n" in done("show", begun.path)
    assert (
        f"\nexpected of the recipe as it ships: {expected}\n"
        "this run differs from it in: schedule.epochs\n"
    ) in done("show", other.path)
    begun.manifest.write_text("{}")
    assert f"\nexpected: {expected}\n" in done("show", begun.path)


def test_an_unreadable_run_does_not_stretch_the_table(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.log.write_text("nothing\n")
    result = alexrep("list", folder.path)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        [str(folder.path), "unreadable", "0"]
    ]
    assert f"alexrep: {folder.path}: unreadable: {folder.log} line 1: expected" in result.stderr
