"""Log, CSV and TensorBoard: after a restart all three agree, and hold nothing twice."""

import csv
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alexrep import files
from alexrep.config import recipes
from alexrep.errors import AlexrepError
from alexrep.runs import log
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row
from alexrep.runs.record import SHEET, Record


def step(number: int) -> Row:
    return {"kind": "step", "epoch": number // 10, "step": number, "loss": 1 / number}


def epoch(number: int) -> Row:
    error = 1 / (1 + number)
    return {"kind": "epoch", "epoch": number, "step": 10 * number, "val_top1_error": error}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    files.write_bytes(folder.recipe, recipes.dump(recipes.load("demo")).encode())
    return folder


def begun(folder: RunFolder, size: int | None = None, step: int = 0) -> Record:
    return Record(folder, size, step, files.nothing)


def curve(folder: RunFolder, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder.events), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def table(folder: RunFolder) -> list[str]:
    with (folder.path / "log.csv").open() as stream:
        return [row["epoch"] for row in csv.DictReader(stream)]


def test_a_run_that_goes_on_has_all_three_cut_to_its_checkpoint(folder: RunFolder) -> None:
    with closing(begun(folder)) as first:
        for row in epoch(0), step(5), step(10), epoch(1):
            first.row(row)
        size = first.tell()
        for row in step(15), step(20), epoch(2), step(25):
            first.row(row)
    assert table(folder) == ["0", "1", "2"]
    with closing(begun(folder, size, 10)) as second:
        assert table(folder) == ["0", "1"]
        for row in step(15), step(20), epoch(2):
            second.row(row)
    assert [row["step"] for row in log.read(folder.log)] == [0, 5, 10, 10, 15, 20, 20]
    steps = [5, 10, 15, 20]
    shown = curve(folder, "step/loss")
    assert [number for number, _ in shown] == steps
    assert [loss for _, loss in shown] == pytest.approx([1 / number for number in steps])
    assert [number for number, _ in curve(folder, "val/top1_error")] == [0, 10, 20]
    assert table(folder) == ["0", "1", "2"]


def test_a_run_that_begins_anew_has_nothing_of_the_one_before(folder: RunFolder) -> None:
    for number in 10, 20:
        with closing(begun(folder)) as record:
            record.row(step(number))
    assert [row["step"] for row in log.read(folder.log)] == [20]
    assert [step_ for step_, _ in curve(folder, "step/loss")] == [20]
    assert table(folder) == []


def test_a_sheet_is_purged_with_its_step(folder: RunFolder) -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    for size in None, 0:
        with closing(begun(folder, size)) as record:
            record.show(images, 1)
    events = EventAccumulator(str(folder.events))
    events.Reload()
    assert [event.step for event in events.Images(SHEET)] == [1]


@pytest.mark.parametrize(
    "write", [lambda one: one.row(step(5)), lambda one: one.show(np.zeros((1, 2, 2, 3), "u1"), 1)]
)
def test_who_lost_the_folder_writes_nothing(
    folder: RunFolder, write: Callable[[Record], None]
) -> None:
    lost: list[str] = []

    def check() -> None:
        if lost:
            raise AlexrepError("taken over")

    with closing(Record(folder, None, 0, check)) as record:
        before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
        lost.append("lock")
        with pytest.raises(AlexrepError, match="taken over"):
            write(record)
    assert {path: path.read_bytes() for path in before} == before


def test_every_row_has_the_time_of_day(folder: RunFolder) -> None:
    with closing(begun(folder)) as record:
        for row in epoch(0), step(5), epoch(1):
            before = datetime.now(UTC).replace(microsecond=0)
            record.row(row)
            clock = datetime.fromisoformat(str(log.read(folder.log)[-1]["clock"]))
            assert before <= clock <= datetime.now(UTC)
    first, _, last = (row["clock"] for row in log.read(folder.log))
    with (folder.path / "log.csv").open() as stream:
        assert [row["clock"] for row in csv.DictReader(stream)] == [first, last]


def test_a_row_that_is_written_to_tensorboard_again_keeps_its_time(folder: RunFolder) -> None:
    with closing(begun(folder)) as first:
        first.row(step(5))
    clock = "2012-09-30T12:00:00+00:00"
    old = folder.log.read_text().replace(str(log.read(folder.log)[0]["clock"]), clock)
    folder.log.write_text(old)
    begun(folder, len(old.encode()), 5).close()
    events = EventAccumulator(str(folder.events), size_guidance={"scalars": 0})
    events.Reload()
    (event,) = events.Scalars("step/loss")
    assert event.wall_time == datetime.fromisoformat(clock).timestamp()


def test_a_row_of_an_older_log_has_no_time_and_is_drawn(folder: RunFolder) -> None:
    files.write_bytes(folder.log, b'{"kind": "step", "epoch": 0, "step": 5, "loss": 1.0}\n')
    begun(folder, folder.log.stat().st_size, 5).close()
    assert [number for number, _ in curve(folder, "step/loss")] == [5]
