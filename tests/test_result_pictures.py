"""Pictures of a result: confusion, errors of classes, calibration, views; and the time of steps."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep.evaluation.calibration import reliability
from alexrep.ilsvrc.classes import Synset
from alexrep.plots import calibration, class_errors, confusion, speed, views
from alexrep.runs import results
from alexrep.runs.contents import NothingToShow
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Predictions, Result, Scored, from_the_likeliest

MakeResult = Callable[..., Path]


@pytest.fixture
def make_result(make_run: Callable[..., RunFolder]) -> MakeResult:
    """Return a function that gives a run some classes, and a result of labels and answers."""

    def make(
        labels: Sequence[int], answers: Sequence[int], num_classes: int = 3, side: int = 128
    ) -> Path:
        folder = make_run("run")
        rows = [vars(Synset(i, f"n{i:08}", i + 1, f"class {i}", 9)) for i in range(num_classes)]
        (folder.path / "classes.json").write_text(json.dumps(rows))
        own, said = np.array(labels), np.array(answers)
        top5 = np.stack([said, (said + 1) % num_classes], axis=1)
        sure = np.tile(np.array([[0.75, 0.25]], dtype=np.float32), (len(own), 1))
        images = np.full((1, side, side, 3), 200, dtype=np.uint8)
        images[0, :, : side // 2] = 50
        arrays = from_the_likeliest(own, top5, sure)
        names = np.array([b"an image"] * len(own))
        sheet = Predictions(names, own, top5, sure, images, np.array([0]), **arrays)
        error = float(np.mean(own != said))
        counted = (2, len(own), 0, 1.0, error, error, "weights", "shards")
        result = Result("val", "centre", "last", *counted)
        results.keep(Scored(folder.result("val", "centre"), result, sheet))
        return folder.path

    return make


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_few_classes_have_every_number_in_the_matrix(make_result: MakeResult) -> None:
    run = make_result([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2])
    found = texts(confusion.draw(run))
    assert sorted(text for text in found if text.isdigit()) == ["1", "1", "1", "1", "2"]
    assert [found.count(f"class {index}") for index in range(3)] == [2, 2, 2]


def test_many_classes_have_their_most_confused_pairs_first(make_result: MakeResult) -> None:
    labels = [*range(100), 7, 7, 7, 50]
    answers = [*range(100), 9, 9, 9, 51]
    figure = confusion.draw(make_result(labels, answers, 100))
    found = texts(figure)
    assert found.index("class 7") < found.index("class 50")
    assert {"3 (75 %)", "1 (50 %)"} <= set(found)
    assert "Wrong images, by blocks of 2 neighbouring classes" in found


def test_blocks_count_the_wrong_images_of_neighbouring_classes() -> None:
    counts = np.arange(25).reshape(5, 5)
    reduced, starts = confusion.blocks(counts, most=3)
    assert starts == [0, 2, 4]
    wrong = counts - np.diag(np.diag(counts))
    assert reduced.sum() == wrong.sum()
    assert reduced[0, 1] == counts[0, 2] + counts[0, 3] + counts[1, 2] + counts[1, 3]
    assert reduced[2, 2] == 0


def test_images_that_are_all_right_have_no_pairs(make_result: MakeResult) -> None:
    run = make_result(list(range(30)), list(range(30)), 30)
    assert "Most confused pairs: none, all images are right" in texts(confusion.draw(run))


def test_the_hardest_class_comes_first_and_bars_are_as_long_as_errors(
    make_result: MakeResult,
) -> None:
    run = make_result([0, 0, 1, 1, 2, 2], [0, 0, 2, 2, 2, 1])
    figure = class_errors.draw(run)
    found = texts(figure)
    assert [text for text in found if text.startswith("class")] == [
        *("class 1", "class 2", "class 0")
    ]
    assert {"100 % of 2", "50 % of 2", "0 % of 2"} <= set(found)
    bars = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    widths = [bar.get_width() for bar in bars]
    assert np.divide(widths[1::2], widths[::2]).tolist() == pytest.approx([1, 0.5, 0])


def test_of_many_classes_the_hardest_and_the_easiest_are_listed(make_result: MakeResult) -> None:
    labels = list(range(100))
    answers = [99 if label < 40 else label for label in labels]
    found = texts(class_errors.draw(make_result(labels, answers, 100)))
    assert {"Hardest", "Easiest", "class 1", "class 99"} <= set(found)
    assert sum(text.startswith("class ") for text in found) == 40


def test_the_calibration_says_its_error_and_how_sure_the_network_is(
    make_result: MakeResult,
) -> None:
    run = make_result([0, 1, 2, 0], [0, 1, 0, 0])
    figure = calibration.draw(run)
    said = [text.get_text() for text in figure.texts][2]
    assert said == "expected calibration error 0.0 %; right 75.0 %, mean confidence 75.0 %"
    heights = [bar.get_height() for bar in figure.axes[1].patches]  # type: ignore[attr-defined]
    assert sum(heights) == 4
    wrong = make_result([1, 2, 0, 1], [0, 1, 2, 0])
    bins = reliability(results.read_scored(wrong / "results" / "val-centre.json").predictions)
    assert "right 0.0 %" in calibration.summary(bins)


@pytest.mark.parametrize("module", [confusion, class_errors, calibration])
def test_results_without_labels_are_named(module: object, make_result: MakeResult) -> None:
    run = make_result([-1, -1], [0, 1])
    with pytest.raises(NothingToShow, match="expected images with labels, found none"):
        module.draw(run)  # type: ignore[attr-defined]


def test_the_views_are_ten_patches_in_frames_of_the_colours_of_their_places(
    make_result: MakeResult,
) -> None:
    figure = views.draw(make_result([0], [0]))
    page = figure.axes[0]
    frames = [patch for patch in page.patches if isinstance(patch, Rectangle)]
    assert (len(page.images), len(frames)) == (11, 15)
    # Patches of 112 pixels of an image of 128: 17 places on each axis.
    assert "578 views: 17" in [text.get_text() for text in figure.texts][2]
    shown = [np.asarray(image.get_array()) for image in page.images]
    assert np.array_equal(shown[1][:, ::-1], shown[2])


def test_an_image_no_larger_than_the_patch_has_no_views(make_result: MakeResult) -> None:
    with pytest.raises(NothingToShow, match="expected images larger than the patch of 112"):
        views.draw(make_result([0], [0], side=112))


def test_the_time_of_a_step_is_split_into_waiting_and_computing(
    make_run: Callable[..., RunFolder],
) -> None:
    folder = make_run("run")
    steps = [
        {"kind": "step", "epoch": 0, "step": n, "loss": 1.0, "images_per_s": 320.0,
         "feed_wait_share": 0.25, "memory_bytes": 2_500_000_000}
        for n in range(1, 11)
    ]  # fmt: skip
    with folder.log.open("a") as log:
        log.writelines(f"{json.dumps(row)}\n" for row in steps)
    figure = speed.draw(folder.path)
    # 32 images at 320 images/s.
    assert {"waiting 25 ms", "computing 75 ms", "320", "2.50"} <= set(texts(figure))
    said = [text.get_text() for text in figure.texts][1]
    assert said == "median 100 ms; 25.0 % of the time waiting for images"


def test_a_log_without_times_has_no_picture_of_them(make_run: Callable[..., RunFolder]) -> None:
    with pytest.raises(NothingToShow, match="expected times of steps, found none"):
        speed.draw(make_run("run").path)
