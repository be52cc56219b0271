"""Tools for run folders: lists, descriptions, comparisons, tables, notes, copies."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from alexrep import files
from alexrep.errors import ConfigError, DataError
from alexrep.runs import copying, description, listing, log, notes, results, table
from alexrep.runs.folder import RunFolder

MakeRun = Callable[..., RunFolder]

DAY = date(2012, 9, 30)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_runs_are_found_at_any_depth_in_order(make_run: MakeRun, tmp_path: Path) -> None:
    for name in ("b/second", "a", "b/first"):
        make_run(name)
    paths = [folder.path.relative_to(tmp_path).as_posix() for folder in listing.find(tmp_path)]
    assert paths == ["a", "b/first", "b/second"]


def test_a_run_itself_is_found(make_run: MakeRun) -> None:
    folder = make_run("run")
    assert listing.find(folder.path) == [folder]


def test_what_a_killed_copy_left_is_no_run(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(f"new.host-1{files.PARTIAL}")
    assert listing.find(tmp_path) == []


def test_a_folder_of_runs_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of runs, found none; name"):
        listing.find(tmp_path / "runs")


@pytest.mark.parametrize(
    ("errors", "is_finished", "state"),
    [
        ((), False, "not begun"),
        ((0.9,), False, "stopped at epoch 0 of 45"),
        ((0.9, 0.8, 0.7), False, "stopped at epoch 2 of 45"),
        ((0.9, 0.8, 0.7), True, "finished"),
    ],
)
def test_the_state_of_a_run(
    make_run: MakeRun, errors: tuple[float, ...], is_finished: bool, state: str
) -> None:
    folder = make_run("run", errors=errors, is_finished=is_finished)
    assert listing.overview(folder).state == state


def test_a_run_stopped_in_its_first_epoch_without_a_row_has_begun(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.log.unlink()
    assert listing.overview(folder).state == "stopped at epoch 0 of 45"


def test_the_line_of_a_run(make_run: MakeRun) -> None:
    folder = make_run("run")
    notes.append(folder, "first", DAY)
    notes.append(folder, "second", DAY)
    assert listing.overview(folder) == listing.Overview(
        run=str(folder.path),
        recipe="demo",
        state="stopped at epoch 3 of 45",
        epochs=3,
        best_val_top1_error=0.25,
        note="2012-09-30 second",
    )


def test_a_damaged_run_is_listed_with_its_damage(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.log.write_text("{\n")
    row = listing.overview(folder)
    assert row.recipe is None
    assert row.state.startswith(f"unreadable: {folder.log} line 1: expected JSON, found")


def test_a_row_without_an_error_is_named(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.log.write_text('{"kind": "epoch", "epoch": 1}\n')
    with pytest.raises(DataError, match="expected epoch and val_top1_error, found"):
        listing.epoch_rows(folder)


def test_a_damaged_result_is_named(make_run: MakeRun) -> None:
    folder = make_run("run", is_finished=True)
    folder.result("val", "ten-crop").write_text("[1]")
    with pytest.raises(DataError, match=r"val-ten-crop\.json: expected a result, found"):
        results.read_all(folder.path)


def test_a_description_has_everything(make_run: MakeRun) -> None:
    folder = make_run("run", is_finished=True)
    notes.append(folder, "seen", DAY)
    described = description.describe(folder)
    assert (described.recipe, described.state) == ("demo", "finished")
    assert described.source.startswith("Ours: net 145")
    assert "width: 0.25; net 145: 1" in described.departures
    assert [row["epoch"] for row in described.rows] == [0, 1, 2, 3]
    assert described.results.keys() == {"val-ten-crop"}
    assert described.results["val-ten-crop"]["top1_error"] == 0.125
    assert described.notes == ["2012-09-30 seen"]


def test_a_description_has_the_totals_of_the_table_of_layers(make_run: MakeRun) -> None:
    folder = make_run("run")
    assert description.describe(folder).network == {}
    folder.layers.write_text('{"layers": [], "total": {"parameters": 7}}')
    assert description.describe(folder).network == {"parameters": 7}


def test_a_damaged_table_of_layers_is_named(make_run: MakeRun) -> None:
    folder = make_run("run")
    folder.layers.write_text("[1]")
    with pytest.raises(DataError, match=r"layers\.json: expected a table of layers, found"):
        description.describe(folder)


def test_a_description_shows_the_last_epochs_only(make_run: MakeRun) -> None:
    described = description.describe(make_run("run", errors=(0.9,) * 30))
    assert [row["epoch"] for row in described.rows] == [25, 26, 27, 28, 29]


def test_a_comparison_names_fields_departures_and_errors(make_run: MakeRun) -> None:
    first = make_run("one", is_finished=True)
    other = make_run("other", "feed.batch_size=128", errors=(0.9, 0.75))
    compared = description.compare(first, other)
    assert compared.fields == ["feed.batch_size: 32 -> 128"]
    mine, theirs = compared.departures
    assert set(mine) - set(theirs) == {"batch size: 32; net 145: 128"}
    assert compared.errors["epoch"] == (3, 1)
    assert compared.errors["val_top1_error"] == (0.375, 0.75)
    assert compared.errors["val-ten-crop top1_error"] == (0.125, None)


def test_runs_that_are_not_begun_have_no_errors_to_compare(make_run: MakeRun) -> None:
    compared = description.compare(make_run("one", errors=()), make_run("other", errors=()))
    assert (compared.fields, compared.errors) == ([], {})


def test_the_table_has_a_row_for_each_epoch_and_the_columns_of_the_log(make_run: MakeRun) -> None:
    folder = make_run("run", errors=(0.9, 0.5))
    assert table.write(folder).read_text() == (
        "epoch,step,train_loss,train_error,weights_rate,noise,"
        "val_loss,val_top1_error,val_top5_error\n"
        "0,0,,,,,1.25,0.9,0.45\n"
        "1,10,1.5,0.625,0.01,True,1.25,0.5,0.25\n"
    )


def test_a_column_that_came_later_is_empty_before() -> None:
    rows: list[log.Row] = [{"kind": "epoch", "epoch": 0}, {"kind": "epoch", "epoch": 1, "new": 2}]
    assert table.text(rows) == "epoch,new\n0,\n1,2\n"


def test_the_table_is_that_of_the_log_again_after_a_cut(make_run: MakeRun) -> None:
    folder = make_run("run")
    table.write(folder)
    lines = folder.log.read_bytes().splitlines(keepends=True)
    log.cut(folder.log, len(b"".join(lines[:3])))
    assert len(table.write(folder).read_text().splitlines()) == 1 + 2


def test_a_note_is_one_dated_line(make_run: MakeRun) -> None:
    folder = make_run("run")
    assert notes.append(folder, " rate\n lowered\tby hand\x1b ", DAY) == (
        "2012-09-30 rate lowered by hand"
    )
    assert notes.lines(folder) == ["2012-09-30 rate lowered by hand"]


def test_a_note_follows_what_somebody_wrote_without_a_line_end(make_run: MakeRun) -> None:
    folder = make_run("run")
    (folder.path / notes.NAME).write_bytes(b"by hand \xff")
    notes.append(folder, "second", DAY)
    assert notes.lines(folder) == ["by hand \ufffd", "2012-09-30 second"]


def test_an_empty_note_is_refused(make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match="the note: expected some text, found ' "):
        notes.append(make_run("run"), " \n", DAY)


def test_a_note_on_no_run_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no such folder"):
        notes.append(RunFolder(tmp_path / "none"), "text", DAY)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_has_what_is_needed_to_go_on(make_run: MakeRun, tmp_path: Path) -> None:
    folder, new = make_run("run", is_finished=True), RunFolder(tmp_path / "deep" / "new")
    notes.append(folder, "before", DAY)
    left = ("plots/x.png", ".lock", ".lock-run-3", "log.csv.host-1.partial")
    for name in (*left, "checkpoints/epoch-00010.pt", "checkpoints/previous.pt"):
        files.write_bytes(folder.path / name, b"x")
    copied = {path.as_posix() for path in copying.copy(folder, new)}
    checkpoints = {f"checkpoints/{which}.pt" for which in ("last", "best", "previous")}
    assert copied == names(new.path)
    assert copied == {"recipe.toml", "plan.json", "log.jsonl", "notes.txt"} | checkpoints
    assert all(
        (new.path / file).read_bytes() == (folder.path / file).read_bytes() for file in copied
    )


def test_a_copy_is_stopped_where_the_run_was(make_run: MakeRun, tmp_path: Path) -> None:
    new = RunFolder(tmp_path / "new")
    copying.copy(make_run("run", is_finished=True), new)
    assert listing.overview(new).state == "stopped at epoch 3 of 45"


def test_checkpoints_are_copied_before_the_log_that_grows(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run("run")
    read: list[str] = []
    plain = shutil.copyfile

    def seen(source: Path, target: Path) -> None:
        read.append(source.name)
        plain(source, target)

    monkeypatch.setattr(shutil, "copyfile", seen)
    copying.copy(folder, RunFolder(tmp_path / "new"))
    assert read.index("last.pt") < read.index("log.jsonl")


def test_a_copy_onto_a_folder_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match="new: expected no such folder yet, found one;"):
        copying.copy(make_run("run"), RunFolder(tmp_path / "new"))
    assert names(tmp_path / "new") == set()


def test_a_copy_of_a_run_that_has_not_begun_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a checkpoint to go on from, found none"):
        copying.copy(make_run("run", errors=()), RunFolder(tmp_path / "new"))


def test_a_copy_that_fails_leaves_nothing(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run("run")

    def fail(source: Path, target: Path) -> None:
        if source.name == "log.jsonl":
            raise OSError(28, "No space left on device")
        target.write_bytes(b"x")

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(OSError, match="No space left"):
        copying.copy(folder, RunFolder(tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_descriptions_are_plain_data(make_run: MakeRun) -> None:
    described = description.describe(make_run("run", is_finished=True))
    assert (
        json.loads(json.dumps(described.__dict__))["results"]["val-ten-crop"]["top1_error"] == 0.125
    )


def test_eight_notes_at_once_are_all_kept(make_run: MakeRun) -> None:
    folder = make_run("run")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda num: notes.append(folder, f"note {num}", DAY), range(8)))
    assert sorted(notes.lines(folder)) == [f"2012-09-30 note {num}" for num in range(8)]
    assert not list(folder.path.glob(".lock*"))
