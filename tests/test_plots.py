"""Tests of the pictures, drawn from a small run made of arithmetic."""

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from alexrep.config import recipes
from alexrep.errors import DataError
from alexrep.ilsvrc.classes import Synset
from alexrep.plots import captions, colour_axes, curves, gallery, kernels, mean_image, rates, style
from alexrep.plots import predictions as sheet
from alexrep.runs import checkpoint, contents, history, results
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Predictions, Result, Scored

NAMES = ["zero", "one, unity", "two", "three", "four", "a very long name indeed, and another"]
SIZES = {
    "curves": (1200, 1095),
    "kernels": (1200, 1005),
    "predictions": (1200, 657),
    "mean-image": (1200, 397),
    "colour-axes": (1200, 648),
    "confusion": (1200, 953),
    "class-errors": (1200, 345),
    "calibration": (1200, 990),
    "views": (1200, 630),
    "augmentations": (1200, 672),
    "network": (1200, 952),
    "speed": (1200, 885),
}
NUMBERS = (0.5, 0.25, 0.0, "weights", "shards")
ORANGE_RED, SKY = (250, 60, 10), (20, 160, 240)


def epoch_row(epoch: int, **other: object) -> dict[str, Any]:
    """Return an epoch row of four steps an epoch, errors falling."""
    error = 0.8 / (epoch + 1)
    row = {"kind": "epoch", "epoch": epoch, "step": 4 * epoch, "train_loss": None}
    row |= {"train_error": None, "weights_rate": None, "biases_rate": None, "noise": True}
    row |= {"val_loss": error, "val_top1_error": error, "val_top5_error": error / 4}
    if epoch:
        row |= {"train_loss": error, "train_error": error, "weights_rate": 0.01}
        row |= {"biases_rate": 0.02}
    return row | other


def step_row(step: int) -> dict[str, Any]:
    row = {"kind": "step", "epoch": (step - 1) // 4, "step": step, "loss": 2.0 / step}
    return row | {"images_per_s": 320.0, "feed_wait_share": 0.25, "memory_bytes": 2_000_000_000}


def write_log(run: Path, rows: list[dict[str, Any]]) -> None:
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_results(run: Path, name: str, **other: object) -> None:
    """Write results of four images, two kept for the sheet; the second of these is wrong.

    In their random order the images are 3, 0, 1 and 2.
    """
    (run / "results").mkdir(exist_ok=True)
    arrays: dict[str, Any] = {
        "names": np.array([b"a", b"b", b"c", b"d"]),
        "labels": np.array([0, 2, 3, 1]),
        "top5": np.array([[5, 0, 1, 2, 3], [2, 0, 1, 3, 4], [3, 0, 1, 2, 4], [1, 0, 2, 3, 4]]),
        "probabilities": np.array([[0.6, 0.2, 0.1, 0.05, 0.05]] * 4, dtype=np.float32),
        "sheet_images": np.full((2, 128, 128, 3), [ORANGE_RED], dtype=np.uint8),
        "sheet_rows": np.array([3, 0]),
    }
    arrays["sheet_images"][1] = SKY
    split, _, views = name.removesuffix("-best").partition("-")
    result = Result(split, views, "best" if "best" in name else "last", 2, 4, 0, *NUMBERS)
    arrays |= other
    likeliest = (arrays[key] for key in ("labels", "top5", "probabilities"))
    predictions = Predictions(**arrays, **results.from_the_likeliest(*likeliest))
    results.keep(Scored(run / "results" / f"{name}.json", result, predictions))


def write_checkpoint(run: Path, name: str, epoch: int, **weights: torch.Tensor) -> None:
    content = {"state_dict": weights, "epoch": epoch, "classes": [{}] * len(NAMES)}
    axes: dict[str, Any] = {"axes": np.eye(3).tolist(), "stds": [50.0, 20.0, 10.0]}
    content["inputs"] = axes | {"mean": torch.zeros(128, 128, 3), "side": 128}
    recipe = json.loads(contents.read_recipe(run).model_dump_json(exclude_none=True))
    checkpoint.save(run / "checkpoints" / name, content | {"config": recipe})


def towers(first: torch.Tensor, second: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"towers.0.conv1.weight": first, "towers.1.conv1.weight": second}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two epochs, with four kernels per tower and six classes."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.toml").write_text(recipes.dump(recipes.load("demo")))
    write_log(run, [epoch_row(0), *map(step_row, range(1, 9)), epoch_row(1), epoch_row(2)])
    rows = [asdict(Synset(i, f"n{i}", i, words, 9)) for i, words in enumerate(NAMES)]
    (run / "classes.json").write_text(json.dumps(rows))
    write_results(run, "test-ten-crop")
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(4, 3, 11, 11)
    write_checkpoint(run, "last.pt", 2, **towers(torch.zeros(4, 3, 11, 11), red.contiguous()))
    np.save(run / "mean.npy", np.full((16, 16, 3), [120, 110, 100], dtype=np.float32))
    axes = {"mean": [120, 110, 100], "axes": np.eye(3).tolist(), "stds": [50, 20, 10]}
    (run / "pca.json").write_text(json.dumps(axes | {"num_pixels": 512, "side": 16}))
    return run


def draw(name: str, run: Path, out: Path) -> Path:
    module = importlib.import_module(f"alexrep.plots.{gallery.FIGURES[name]}")
    return style.save(module.draw(run), out)


def draw_both(name: str, run: Path, out: Path) -> list[bytes]:
    """Draw a picture once, and return its PNG file and its SVG file."""
    figure = importlib.import_module(f"alexrep.plots.{gallery.FIGURES[name]}").draw(run)
    return [style.save(figure, out.with_suffix(f".{form}")).read_bytes() for form in style.FORMATS]


def load(picture: Path) -> NDArray[np.uint8]:
    with Image.open(picture) as opened:
        return np.asarray(opened.convert("RGB"))


def count(picture: Path, colour: tuple[int, int, int], rows: slice = slice(None)) -> int:
    """Count the pixels of exactly this colour."""
    return int((load(picture)[rows] == colour).all(axis=2).sum())


@pytest.mark.parametrize("name", gallery.FIGURES)
def test_each_picture_is_a_png_of_known_size_and_no_partial_is_left(
    name: str, run: Path, tmp_path: Path
) -> None:
    out = draw(name, run, tmp_path / "out" / "picture.png")
    with Image.open(out) as picture:
        assert (picture.format, picture.size) == ("PNG", SIZES[name])
        assert list(picture.info) == ["dpi"]
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("name", gallery.FIGURES)
def test_equal_work_gives_equal_bytes_whatever_the_users_settings(
    name: str, run: Path, tmp_path: Path
) -> None:
    first = draw_both(name, run, tmp_path / "one")
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        assert draw_both(name, run, tmp_path / "other") == first
        assert mpl.rcParams["font.size"] == 30
    assert b"<dc:date>" not in first[1]


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("curves", "log.jsonl", "run alexrep train first"),
        ("curves", "recipe.toml", "expected the recipe of a run, found none"),
        ("kernels", "checkpoints/last.pt", "expected a checkpoint, found none; run alexrep train"),
        ("predictions", "results/test-ten-crop.json", "found none yet; run alexrep eval"),
        ("predictions", "results/test-ten-crop.npz", "expected predictions, found none; run"),
        ("predictions", "classes.json", "expected a class table, found none"),
        ("mean-image", "mean.npy", "run alexrep mean"),
        ("colour-axes", "pca.json", "run alexrep pca"),
    ],
)
def test_a_missing_input_is_named_with_what_to_do(
    name: str, file: str, message: str, run: Path, tmp_path: Path
) -> None:
    (run / file).unlink()
    with pytest.raises(DataError, match=message):
        draw(name, run, tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("kernels", "checkpoints/last.pt"),
        ("predictions", "results/test-ten-crop.npz"),
        ("predictions", "classes.json"),
        ("mean-image", "mean.npy"),
        ("colour-axes", "pca.json"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"[1]", b"PK\x03\x04"])
def test_a_damaged_input_is_named(
    name: str, file: str, content: bytes, run: Path, tmp_path: Path
) -> None:
    (run / file).write_bytes(content)
    with pytest.raises(DataError, match=f"{file}: expected"):
        draw(name, run, tmp_path / "picture.png")


def test_steps_are_placed_between_the_epochs_around_them_and_go_on_at_their_pace() -> None:
    rows = [epoch_row(0), *map(step_row, (2, 4, 6, 10)), epoch_row(1), epoch_row(2)]
    assert history.from_rows(rows).step_at.tolist() == [0.5, 1.0, 1.5, 2.5]


def test_an_epoch_that_a_log_has_twice_moves_no_step() -> None:
    rows = [epoch_row(0), step_row(2), epoch_row(1), epoch_row(1), step_row(6)]
    assert history.from_rows(rows).step_at.tolist() == [0.5, 1.5]


def test_before_the_first_epoch_ends_steps_are_placed_by_their_number() -> None:
    placed = history.from_rows([epoch_row(0), step_row(1), step_row(3)])
    assert (placed.step_at.tolist(), placed.in_epochs) == ([1.0, 3.0], False)


def test_thinning_keeps_the_extremes_and_bounds_the_number_of_groups() -> None:
    value = np.sin(np.arange(450_000.0))
    value[123_456], value[321_000] = 7.0, -7.0
    at, low, high = history.thin(np.arange(450_000.0), value, 1500)
    assert (len(at), low.min(), high.max()) == (1500, -7.0, 7.0)
    assert at[0] == 149.5


def test_few_steps_are_not_thinned() -> None:
    at, low, high = history.thin(np.array([1.0, 2.0]), np.array([5.0, 3.0]), 2)
    assert (at.tolist(), low.tolist(), high.tolist()) == ([1.0, 2.0], [5.0, 3.0], [5.0, 3.0])


@pytest.mark.parametrize("key", ["weights_rate", "biases_rate", "noise"])
def test_a_change_is_placed_where_the_first_epoch_that_has_it_begins(key: str) -> None:
    rows = [epoch_row(0), epoch_row(1), epoch_row(2), epoch_row(3, **{key: 0.5})]
    assert history.changes(history.from_rows(rows)) == [2.0]


def test_rates_that_change_every_epoch_are_not_marked_across_the_panels() -> None:
    rows = [epoch_row(epoch, weights_rate=0.1 / epoch) for epoch in range(1, 21)]
    assert rates.marked(history.from_rows(rows)) == []
    assert len(rates.marked(history.from_rows(rows[:5]))) == 4


def test_the_best_epoch_is_the_first_of_the_lowest_val_top1_error(run: Path) -> None:
    rows = [epoch_row(epoch, val_top1_error=error) for epoch, error in enumerate((0.5, 0.1, 0.1))]
    loaded = history.from_rows([*rows, epoch_row(3, val_top1_error=None)])
    assert curves.summary(loaded, contents.num_planned(run)) == (
        f"3 of {contents.read_recipe(run).schedule.epochs} epochs; "
        "best at epoch 1 (ring): val top-1 error 10.00 %, top-5 10.00 %"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [epoch_row(0)],
        [step_row(1)],
        [epoch_row(0), step_row(1), step_row(2)],
        [epoch_row(n, biases_rate=0.0, val_top5_error=None) for n in range(3)],
        [epoch_row(n) for n in range(91)],
    ],
    ids=["one row", "one step", "first epoch", "rate 0", "91 epochs"],
)
def test_curves_are_drawn_of_short_and_long_logs(
    rows: list[dict[str, Any]], run: Path, tmp_path: Path
) -> None:
    write_log(run, rows)
    draw("curves", run, tmp_path / "curves.png")
    assert load(tmp_path / "curves.png").shape == (1095, 1200, 3)


def test_curves_of_an_empty_log_are_refused(run: Path, tmp_path: Path) -> None:
    write_log(run, [{"kind": "event", "step": 0, "text": "started"}])
    with pytest.raises(DataError, match="expected steps or epochs, found none yet"):
        draw("curves", run, tmp_path / "curves.png")


def test_the_noise_is_shaded_for_as_long_as_it_is_on(run: Path, tmp_path: Path) -> None:
    shade, areas = (243, 225, 235), []
    for last in (1, 2):
        write_log(run, [epoch_row(n, noise=n <= last) for n in range(5)])
        draw("curves", run, tmp_path / "curves.png")
        areas.append(count(tmp_path / "curves.png", shade))
    assert areas[0] > 10_000
    assert areas[1] == pytest.approx(2 * areas[0], rel=0.1)


def test_planted_red_kernels_appear_red_in_the_second_tower_after_training(
    run: Path, tmp_path: Path
) -> None:
    out = draw("kernels", run, tmp_path / "kernels.png")
    is_red = (load(out) == (255, 0, 0)).all(axis=2)
    rows, columns = np.nonzero(is_red)
    assert is_red.sum() == 4 * (16 * 11) ** 2
    assert rows.min() > SIZES["kernels"][1] // 2
    assert columns.min() > SIZES["kernels"][0] // 2


def test_kernels_before_training_are_those_of_the_seed(run: Path, tmp_path: Path) -> None:
    untrained = contents.read_trained(run).untrained().state_dict()
    write_checkpoint(run, "last.pt", 2, **untrained)
    pixels = load(draw("kernels", run, tmp_path / "kernels.png"))
    middle = round((kernels.SIDE + style.WIDTH - style.MARGIN + kernels.BETWEEN) / 2 * style.DPI)
    left = pixels[180:, round(kernels.SIDE * style.DPI) : middle - 40]
    right = pixels[180:, middle : middle + left.shape[1]]
    assert np.array_equal(left, right)


def test_the_kernels_of_a_net_on_bgr_are_shown_in_rgb(run: Path, tmp_path: Path) -> None:
    chosen = recipes.load("demo", ("feed.channels=bgr",))
    (run / "recipe.toml").write_text(recipes.dump(chosen))
    out = draw("kernels", run, tmp_path / "kernels.png")
    # The planted red kernel of an RGB net is blue for this one.
    assert count(out, (0, 0, 255)) == 4 * (16 * 11) ** 2
    assert count(out, (255, 0, 0)) == 0


@pytest.mark.parametrize(
    ("position", "heads"),
    [
        ({"epoch": 1}, ["before training (seed 1)", "after 1 epoch (last.pt)"]),
        ({"epoch": 0, "step": 1200}, ["before training (seed 1)", "after 1,200 steps (last.pt)"]),
        ({"epoch": 0, "step": 0}, ["as imported (last.pt)"]),
    ],
)
def test_kernels_say_how_long_they_were_trained(
    position: dict[str, int], heads: list[str], run: Path
) -> None:
    path = run / "checkpoints" / "last.pt"
    content = dict(checkpoint.load(path))
    del content["epoch"]
    checkpoint.save(path, content | position)
    (page,) = kernels.draw(run).axes
    assert [text.get_text() for text in page.texts][: len(heads)] == heads


def test_a_kernel_is_scaled_to_its_own_range_about_grey() -> None:
    weights = np.zeros((3, 3, 1, 2), dtype=np.float32)
    weights[0, :, 0] = np.array([[1e-3, -1e-3], [0, 0], [5e-4, -5e-4]])
    weights[1, 0, 0] = [70, 0]
    pixels = kernels.patches(weights)
    assert pixels[0].tolist() == [[[255, 128, 191], [0, 128, 64]]]
    assert pixels[1, 0, 0].tolist() == [255, 128, 128]
    assert (pixels[2] == 128).all()


@pytest.mark.parametrize(("num", "across"), [(48, 16), (12, 6), (96, 24), (1, 1), (7, 7), (23, 12)])
def test_kernels_stand_in_full_rows_where_their_number_allows(num: int, across: int) -> None:
    assert kernels.columns(num) == across


def test_a_net_without_towers_shows_its_first_convolution_on_colours() -> None:
    model = {
        "stem.bias": torch.zeros(2),
        "gray.weight": torch.zeros(8, 1, 3, 3),
        "features.0.weight": torch.ones(64, 3, 7, 7),
        "features.3.weight": torch.zeros(9, 3, 3, 3),
    }
    layers = kernels.first_layer(model, Path("best.pt"))
    assert {name: weight.shape for name, weight in layers.items()} == {"features.0": (64, 3, 7, 7)}


def test_a_net_without_a_convolution_on_colours_is_an_error() -> None:
    with pytest.raises(DataError, match=r"best\.pt: expected a convolution on 3 channels"):
        kernels.first_layer({"fc.weight": torch.zeros(2, 3)}, Path("best.pt"))


def test_kernels_that_are_not_finite_are_an_error() -> None:
    model = towers(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), torch.nan))
    with pytest.raises(DataError, match="expected finite kernels, found infinity or NaN"):
        kernels.first_layer(model, Path("best.pt"))


def test_a_checkpoint_without_weights_is_an_error(run: Path, tmp_path: Path) -> None:
    checkpoint.save(run / "checkpoints" / "last.pt", {"epoch": 1})
    with pytest.raises(DataError, match=r"last\.pt: expected weights under state_dict"):
        draw("kernels", run, tmp_path / "kernels.png")


@pytest.mark.parametrize(
    ("results", "kept", "shown"),
    [
        (["test-ten-crop"], ["last", "best"], "last"),
        (["val-centre-best"], ["last", "best"], "best"),
        ([], ["last", "best"], "last"),
        (["val-centre"], ["best"], "best"),
    ],
)
def test_the_checkpoint_is_shown_that_was_scored(
    results: list[str], kept: list[str], shown: str, run: Path
) -> None:
    shutil.rmtree(run / "results")
    for name in results:
        write_results(run, name)
    (run / "checkpoints" / "last.pt").rename(run / "checkpoints" / "some.pt")
    for name in kept:
        shutil.copy(run / "checkpoints" / "some.pt", run / "checkpoints" / f"{name}.pt")
    assert contents.read_trained(run).path.name == f"{shown}.pt"


def test_a_bar_is_as_long_as_its_probability_and_only_the_true_class_is_right(run: Path) -> None:
    first, second = sheet.cards(contents.read_scored(run), contents.read_classes(run))
    assert [bar.probability for bar in first.bars] == pytest.approx([0.6, 0.2, 0.1, 0.05, 0.05])
    assert [bar.is_right for bar in first.bars] == [True, False, False, False, False]
    assert [bar.is_right for bar in second.bars] == [False, True, False, False, False]
    assert (first.name, first.bars[0].name) == ("one", "one")
    assert (first.frame, second.frame) == (style.GREEN, style.VERMILLION)


def test_a_likelier_class_gets_a_longer_bar_in_the_picture(run: Path, tmp_path: Path) -> None:
    colour, areas = (138, 211, 187), []
    for share in (0.3, 0.6):
        likely = np.array([[share, 0.2, 0.1, 0, 0]] * 4, dtype=np.float32)
        write_results(run, "test-ten-crop", probabilities=likely)
        areas.append(count(draw("predictions", run, tmp_path / "sheet.png"), colour))
    assert areas[1] - areas[0] == pytest.approx(0.3 * sheet.LONGEST_BAR * 150 * 21, rel=0.25)


def test_the_sheet_shows_the_images_in_order(run: Path, tmp_path: Path) -> None:
    pixels = load(draw("predictions", run, tmp_path / "s.png"))
    y, x = round((sheet.TOP + 0.8) * 150), round((style.MARGIN + 0.8) * 150)
    step = round((sheet.CELL + sheet.SPACE) * 150)
    assert [tuple(pixels[y, x + i * step]) for i in (0, 1)] == [ORANGE_RED, SKY]


def test_the_subtitle_has_the_errors_and_the_checkpoint(run: Path) -> None:
    result = contents.read_scored(run).result
    assert captions.about(result) == (
        "top-1 error 25.00 %, top-5 0.00 % of 4 images of test, ten-crop; checkpoint last, epoch 2"
    )
    unlabelled = replace(result, top1_error=None, top5_error=None)
    assert captions.about(unlabelled) == (
        "4 images of test, ten-crop, without labels; checkpoint last, epoch 2"
    )


@pytest.mark.parametrize(
    ("rows", "blocks"),
    [
        ([3, 0], {"A random 2 of the 4 images, 1 of them wrong": [0, 1]}),
        ([0, 2, 3], {"A random 2 of the 4 images, 1 of them wrong": [2, 0]}),
        (
            [3, 0, 2],
            {
                "A random 2 of the 4 images, 2 of them wrong": [0, 1],
                "Wrong ones among the others: 1 of the 2": [2],
            },
        ),
        ([0, 1], {"Wrong ones among the others: 2 of the 4": [0, 1]}),
    ],
)
def test_a_random_sample_comes_first_and_wrong_ones_have_a_block_of_their_own(
    rows: list[int], blocks: dict[str, list[int]], run: Path
) -> None:
    all_wrong = {} if "1 of them wrong" in next(iter(blocks)) else {"labels": np.full(4, 4)}
    images = np.zeros((len(rows), 8, 8, 3), dtype=np.uint8)
    write_results(run, "test-ten-crop", sheet_rows=np.array(rows), sheet_images=images, **all_wrong)
    assert sheet.arrange(contents.read_scored(run).predictions) == blocks


@pytest.mark.parametrize(("share", "text"), [(1.0, "100"), (0.9996, "100"), (0.9994, "99.9")])
def test_a_percentage_fits_its_room(share: float, text: str) -> None:
    assert sheet.percent(share) == text


def test_an_unknown_class_has_no_right_bar(run: Path) -> None:
    write_results(run, "test-ten-crop", labels=np.full(4, -1))
    card = sheet.cards(contents.read_scored(run), contents.read_classes(run))[0]
    assert (card.name, card.frame) == (None, style.LINE)
    assert not any(bar.is_right for bar in card.bars)


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        (["val-centre"], ("val", "centre", "last")),
        (["val-centre", "val-ten-crop"], ("val", "ten-crop", "last")),
        (["val-ten-crop", "test-centre"], ("test", "centre", "last")),
        (["val-ten-crop-best", "test-centre-best"], ("test", "centre", "best")),
        (["val-centre", "test-centre-best"], ("val", "centre", "last")),
    ],
)
def test_last_is_shown_before_best_test_before_val_and_ten_crop_before_centre(
    others: list[str], chosen: tuple[str, str, str], run: Path
) -> None:
    shutil.rmtree(run / "results")
    for name in others:
        write_results(run, name)
    result = contents.read_scored(run).result
    assert (result.split, result.views, result.checkpoint) == chosen


def test_results_of_other_classes_are_an_error(run: Path) -> None:
    write_results(run, "test-ten-crop", top5=np.full((4, 5), 6))
    with pytest.raises(DataError, match="expected rows and classes of this run"):
        sheet.cards(contents.read_scored(run), contents.read_classes(run))


def test_a_sheet_without_images_is_refused(run: Path, tmp_path: Path) -> None:
    empty = np.zeros((0, 8, 8, 3), dtype=np.uint8)
    write_results(run, "test-ten-crop", sheet_images=empty, sheet_rows=np.zeros(0, np.int64))
    with pytest.raises(DataError, match="expected images for the sheet, found none"):
        draw("predictions", run, tmp_path / "sheet.png")


def test_a_long_name_is_cut_with_an_ellipsis_to_its_room() -> None:
    with style.canvas(1, 1) as figure:
        short = style.shorten(figure, "a very long name indeed", 0.8, 9)
        assert style.text_width(figure, short, 9) <= 0.8
        assert style.text_width(figure, short, 9) > 0.6
        assert style.shorten(figure, "short", 0.8, 9) == "short"
    assert short.startswith("a very l")
    assert short.endswith(style.ELLIPSIS)


def test_a_dollar_sign_in_a_class_name_is_no_formula(run: Path, tmp_path: Path) -> None:
    text = (run / "classes.json").read_text()
    (run / "classes.json").write_text(text.replace("one, unity", "$x^{$"))
    draw("predictions", run, tmp_path / "sheet.png")


def test_the_mean_image_appears_in_its_colour(run: Path, tmp_path: Path) -> None:
    out = draw("mean-image", run, tmp_path / "mean.png")
    assert count(out, (120, 110, 100)) >= 178**2
    assert mean_image.summary(contents.read_mean(run)).startswith(
        f"16{style.CROSS}16 pixels; channel means R 120.0, G 110.0, B 100.0; range 100.0 to 120.0"
    )


def test_stretching_maps_the_range_to_black_and_white_and_clips() -> None:
    levels = np.array([[[90.0, 100.0, 110.0], [120.0, 80.0, 130.0]]])
    assert mean_image.to_pixels(levels, 90, 120).tolist() == [[[0, 85, 170], [255, 0, 255]]]
    assert mean_image.to_pixels(levels[:, :1, :1] - 1, 89, 89).tolist() == [[[0]]]


def test_swatches_lie_along_the_axis_at_its_standard_deviation(run: Path) -> None:
    axes = contents.read_colour_axes(run)
    red = [20, 70, 120, 170, 220]
    assert colour_axes.swatches(axes, 0, 1.0).tolist() == [[r, 110, 100] for r in red]
    assert colour_axes.swatches(axes, 1, 0.1)[4].tolist() == [120, 114, 100]


def test_an_axis_is_a_column_of_the_matrix(run: Path) -> None:
    axes = contents.read_colour_axes(run).model_copy(
        update={"axes": ((0, 1, 0), (0, 0, 1), (1, 0, 0))}
    )
    assert colour_axes.swatches(axes, 0, 1.0)[3].tolist() == [120, 110, 150]


def test_swatches_are_clipped_to_the_grey_levels(run: Path) -> None:
    axes = contents.read_colour_axes(run).model_copy(update={"stds": (200.0, 20.0, 10.0)})
    assert colour_axes.swatches(axes, 0, 1.0)[:, 0].tolist() == [0, 0, 120, 255, 255]


def test_the_colour_axes_show_the_swatches(run: Path, tmp_path: Path) -> None:
    out = draw("colour-axes", run, tmp_path / "axes.png")
    assert count(out, (220, 110, 100)) >= 44 * 66
    assert count(out, (120, 114, 100)) >= 44 * 66


def test_the_gallery_draws_what_it_can_and_says_why_not_the_rest(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "results")
    drawn = gallery.draw_all(run, tmp_path / "plots")
    assert list(drawn) == list(gallery.FIGURES)
    for name in (
        "predictions",
        "confusion",
        "class-errors",
        "calibration",
        "views",
        "augmentations",
    ):
        assert "found none yet; run alexrep eval" in str(drawn.pop(name))
    assert drawn == {name: tmp_path / "plots" / f"{name}.png" for name in drawn}
    assert all(path.is_file() for path in drawn.values() if isinstance(path, Path))


def test_a_picture_that_cannot_be_drawn_again_does_not_stay(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "FIGURES", {"mean-image": "mean_image"})
    assert gallery.draw_all(run, tmp_path) == {"mean-image": tmp_path / "mean-image.png"}
    (run / "mean.npy").unlink()
    assert "run alexrep mean" in str(gallery.draw_all(run, tmp_path)["mean-image"])
    assert not (tmp_path / "mean-image.png").exists()


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 4)), r"\(4, 4\), finite: True"),
        (np.full((4, 4, 3), np.nan), r"\(4, 4, 3\), finite: False"),
    ],
)
def test_a_mean_of_another_shape_or_without_numbers_is_named(
    make_run: Callable[..., RunFolder], array: NDArray[np.float64], found: str
) -> None:
    folder = make_run("run")
    np.save(folder.path / "mean.npy", array)
    with pytest.raises(DataError, match=rf"mean\.npy: expected .* grey levels, found {found}"):
        contents.read_mean(folder.path)
