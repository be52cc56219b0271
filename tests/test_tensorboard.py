"""Event files, read back as TensorBoard does."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alexrep.runs.log import Row
from alexrep.runs.tensorboard import EventFiles, sheet

EPOCH: Row = {
    "kind": "epoch",
    "epoch": 1,
    "step": 20,
    "train_loss": 2.5,
    "val_top1_error": 0.75,
    "weights_rate": 0.5,
    "noise": True,
    "seconds": None,
}


def step(number: int, loss: float) -> Row:
    return {"kind": "step", "epoch": 0, "step": number, "loss": loss}


def write(folder: Path, purge_step: int, *rows: Row, log: tuple[Row, ...] = ()) -> None:
    with closing(EventFiles(folder, purge_step, log)) as event_files:
        for row in rows:
            event_files.row(row)


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def test_a_row_of_a_step_is_a_point(tmp_path: Path) -> None:
    write(tmp_path, 0, step(10, 2.25), step(20, 2.0))
    assert points(tmp_path, "step/loss") == [(10, 2.25), (20, 2.0)]


def test_the_numbers_of_an_epoch_go_by_their_split(tmp_path: Path) -> None:
    write(tmp_path, 0, EPOCH)
    tags = ["train/loss", "val/top1_error", "epoch/weights_rate", "epoch/noise"]
    assert sorted(read(tmp_path).Tags()["scalars"]) == sorted(tags)
    assert [points(tmp_path, tag) for tag in tags] == [
        *([(20, 2.5)], [(20, 0.75)], [(20, 0.5)], [(20, 1.0)])
    ]


def test_an_event_of_the_log_is_no_curve(tmp_path: Path) -> None:
    write(tmp_path, 0, {"kind": "event", "step": 3, "text": "rates changed"})
    assert read(tmp_path).Tags()["scalars"] == []


def test_a_row_is_there_before_the_board_is_closed(tmp_path: Path) -> None:
    event_files = EventFiles(tmp_path, 0)
    event_files.row(step(10, 2.25))
    assert points(tmp_path, "step/loss") == [(10, 2.25)]
    event_files.close()


def test_a_restart_purges_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    rows = [step(number, 2.0) for number in (10, 20, 30, 40)]
    write(tmp_path, 0, *rows)
    write(tmp_path, 25, step(30, 1.0))
    assert points(tmp_path, "step/loss") == [(10, 2.0), (20, 2.0), (30, 1.0)]


def test_no_step_is_there_twice_and_none_is_missing(tmp_path: Path) -> None:
    # Killed after a row that the checkpoint knows, one that it does not, and none of epoch 1.
    write(tmp_path, 0, step(10, 2.0), step(20, 1.5), {**EPOCH, "train_loss": 9.0})
    cut = (step(10, 2.0), step(20, 1.5))
    write(tmp_path, 20, EPOCH, step(30, 1.25), log=cut)
    assert points(tmp_path, "step/loss") == [(10, 2.0), (20, 1.5), (30, 1.25)]
    assert points(tmp_path, "train/loss") == [(20, 2.5)]


def test_a_run_that_begins_anew_forgets_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, 0, step(10, 2.0), step(20, 1.5))
    write(tmp_path, 0, step(10, 1.0))
    assert points(tmp_path, "step/loss") == [(10, 1.0)]


def test_a_sheet_of_images_comes_back(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    with closing(EventFiles(tmp_path, 0)) as event_files:
        event_files.images("inputs", images, 7)
    (event,) = read(tmp_path).Images("inputs")
    assert (event.step, event.height, event.width) == (7, 2 * 8 + 2, 3 * 8 + 4)


def test_a_sheet_shows_the_first_16(tmp_path: Path) -> None:
    with closing(EventFiles(tmp_path, 0)) as event_files:
        event_files.images("inputs", np.zeros((40, 6, 6, 3), np.uint8), 0)
    (event,) = read(tmp_path).Images("inputs")
    assert (event.height, event.width) == (4 * 6 + 6, 4 * 6 + 6)


def test_a_sheet_by_hand() -> None:
    images = np.stack([np.full((1, 1, 3), level, np.uint8) for level in (10, 20, 30)])
    assert sheet(images)[..., 0].tolist() == [
        *([10, 0, 0, 20], [0, 0, 0, 0], [0, 0, 0, 0], [30, 0, 0, 0])
    ]


def test_a_sheet_of_one_image_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3), np.uint8)
    np.testing.assert_array_equal(sheet(image), image[0])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_an_error(images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"images: expected uint8 \(N, H, W, 3\), N at least 1"):
        sheet(images)
