"""Labels that are not the data's own: a ground truth of ids, several labels an image."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alexrep import files
from alexrep.errors import DataError
from alexrep.evaluation import labels
from alexrep.ilsvrc.classes import of_leaves
from alexrep.runs.results import Predictions, Result, Scored
from alexrep.shards.read import Split, open_split

TABLE = of_leaves([(f"n{index}", index + 1, "thing", 1) for index in range(6)])
RESULT = Result("val", "ten-crop", "last", 3, 4, 0, 0.5, 0.5, 0.0, "w" * 64, "s" * 64)


@pytest.fixture
def test_split(data: Path) -> Iterator[Split]:
    with closing(open_split(data, "test")) as split:
        yield split


@pytest.fixture
def scored(tmp_path: Path) -> Scored:
    """Return a result of four images of class 0, taken for classes 0, 1, 2 and 3."""
    top = np.array([np.roll(np.arange(6), -row)[:5] for row in range(4)])
    kept = Predictions(
        names=np.array([b"X_val_%08d.JPEG" % (row + 1) for row in range(4)]),
        labels=np.zeros(4, np.int64),
        top5=top,
        probabilities=np.full(top.shape, 0.2, np.float32),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=np.full(4, 0.2, np.float32),
        credit=np.array([[1.0, 1], [0, 1], [0, 0], [0, 0]]),
    )
    return Scored(tmp_path / "run" / "results" / "val-ten-crop.json", RESULT, kept)


def write_real(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows))
    return path


def test_a_ground_truth_of_ids_gives_the_labels_of_the_shards(test_split: Split, raw: Path) -> None:
    own = test_split.labels.copy()
    test_split.labels[:] = -1
    labels.take_ids(test_split, raw / "DEMO_test_ground_truth.txt")
    assert np.array_equal(test_split.labels, own)


def test_a_ground_truth_of_other_images_is_refused(test_split: Split, tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    truth.write_text("1\n2\n3\n")
    with pytest.raises(DataError, match="expected 4 lines, the images of the split, found 3"):
        labels.take_ids(test_split, truth)
    # Of each image the id of another class.
    ids = np.array([synset.id for synset in test_split.classes.synsets])
    order = np.argsort(test_split.names)
    wrong = ids[(test_split.labels[order] + 1) % 3]
    truth.write_text("".join(f"{number}\n" for number in wrong))
    with pytest.raises(DataError, match=r"found 0\.0 % the same; is it another edition's\?"):
        labels.take_ids(test_split, truth)
    truth.write_text("1\n2\n3\n7\n")
    with pytest.raises(DataError, match="expected an id of the 3 classes in line 4"):
        labels.take_ids(test_split, truth)
    with pytest.raises(DataError, match="expected a ground truth, found no file"):
        labels.take_ids(test_split, tmp_path / "none.txt")


def test_an_image_is_right_by_any_of_its_labels_and_counts_only_with_one(
    scored: Scored, tmp_path: Path
) -> None:
    real = write_real(tmp_path / "real.json", [[0], [0, 1], [], [0, 5]])
    found = labels.with_real(scored, real, TABLE)
    result, kept = found.result, found.predictions
    assert (result.top1_error, result.top5_error) == (1 / 3, 0.0)
    assert (result.num_images, result.num_unlabelled, result.loss) == (4, 1, None)
    assert kept.labels.tolist() == [0, 1, -1, 0]
    assert (result.labels, result.labels_digest) == ("real", files.sha256_file(real))
    assert found.path.name == "val-ten-crop-last-real.json"


def test_labels_of_other_images_or_classes_are_refused(scored: Scored, tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    for rows, fault in (
        ([[0]] * 3, r"expected images whose names end in a number each, from 1 to 3, found X_val"),
        ([[4]] * 4, r"found 0\.0 % the same; is it another edition's\?"),
        ([[6]] * 4, "expected lists of class indices from 0 to 5, found others"),
        ([[0.5]] * 4, "expected lists of class indices from 0 to 5, found others"),
        ({"0": [1]}, "expected lists of class indices from 0 to 5, found others"),
    ):
        write_real(real, rows)
        with pytest.raises(DataError, match=fault):
            labels.with_real(scored, real, TABLE)
    real.write_text("[[0], ")
    with pytest.raises(DataError, match="expected a JSON list, found "):
        labels.with_real(scored, real, TABLE)


def test_the_name_of_an_ensemble_keeps_what_it_says(scored: Scored, tmp_path: Path) -> None:
    real = write_real(tmp_path / "real.json", [[0]] * 4)
    of_two = replace(
        scored,
        path=scored.path.with_stem("val-ten-crop-last-ensemble-2-0a1b2c3d"),
        result=replace(scored.result, members=("a", "b"), mixture=(0.5, 0.5)),
    )
    path = labels.with_real(of_two, real, TABLE).path
    assert path.name == "val-ten-crop-last-ensemble-2-0a1b2c3d-real.json"


def test_real_labels_of_2012_are_of_all_its_val_images(real_data: Path, tmp_path: Path) -> None:
    """3,163 images have none, by the paper that made them."""
    path = shutil.copyfile(
        real_data / "devkits" / "ilsvrc2012" / "real.json", tmp_path / "real.json"
    )
    rows = json.loads(path.read_text())
    top = np.array([[(row or [0])[0], *range(4)] for row in rows])
    names = np.array([b"ILSVRC2012_val_%08d.JPEG" % number for number in range(1, 50_001)])
    kept = Predictions(
        names=names,
        labels=top[:, 0],
        top5=top,
        probabilities=np.full(top.shape, 0.2, np.float32),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=np.full(50_000, 0.2, np.float32),
        credit=np.ones((50_000, 2)),
    )
    table = of_leaves([(f"n{index:04}", index + 1, "thing", 1) for index in range(1000)])
    found = labels.with_real(Scored(tmp_path / "run/results/x.json", RESULT, kept), path, table)
    assert found.result.num_unlabelled == 3163
    assert found.result.top1_error == 0
