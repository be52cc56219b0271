"""Mean images of other programs: forms, order of the colours, and what is refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from alexrep.errors import DataError
from alexrep.weights import caffe_mean

Caffe = Any
"""What the fixture `caffe` returns."""

OURS = np.random.default_rng(1).uniform(90, 140, (8, 8, 3)).astype(np.float32)
THEIRS = np.ascontiguousarray(OURS[:, :, ::-1].transpose(2, 0, 1))
"""From blue to red, colours first, as Caffe has it."""


def saved(folder: Path, array: NDArray[Any]) -> Path:
    np.save(folder / "mean.npy", array)
    return folder / "mean.npy"


@pytest.mark.parametrize("array", [OURS, THEIRS, THEIRS[None], THEIRS.astype(np.float64)])
def test_both_orders_of_axes_give_the_same_image(tmp_path: Path, array: NDArray[Any]) -> None:
    mean = caffe_mean.read(saved(tmp_path, array), 8)
    assert mean.dtype == np.float32
    assert np.array_equal(mean, OURS)


def test_an_npz_of_one_array_is_taken(tmp_path: Path) -> None:
    np.savez(tmp_path / "mean.npz", mean=THEIRS)
    assert np.array_equal(caffe_mean.read(tmp_path / "mean.npz", 8), OURS)
    np.savez(tmp_path / "mean.npz", mean=THEIRS, other=THEIRS)
    with pytest.raises(DataError, match=r"mean\.npz: expected one array, found 2"):
        caffe_mean.read(tmp_path / "mean.npz", 8)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_binaryproto_is_taken(caffe: Caffe, tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(caffe.blob(THEIRS, legacy=legacy))
    assert np.array_equal(caffe_mean.read(path, 8), OURS)


def test_three_numbers_are_blue_green_and_red() -> None:
    numbers = caffe_mean.parse("104, 117,123.5")
    assert numbers is not None
    assert list(numbers) == [104, 117, 123.5]
    image = caffe_mean.even(numbers, 4)
    assert image.shape == (4, 4, 3)
    assert (image == (123.5, 117, 104)).all()


@pytest.mark.parametrize("text", ["mean.npy", "1,2", "1,2,3,4", "1,2,x", ""])
def test_other_texts_are_no_three_numbers(text: str) -> None:
    assert caffe_mean.parse(text) is None


@pytest.mark.parametrize("text", ["-1,2,3", "104,117,300", "nan,1,1"])
def test_numbers_that_are_no_grey_levels_are_refused(text: str) -> None:
    numbers = caffe_mean.parse(text)
    assert numbers is not None
    with pytest.raises(DataError, match=r"--mean .*: expected grey levels from 0 to 255"):
        caffe_mean.even(numbers, 4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (THEIRS[:, :7], "three colours and side 8, as the data, found 7 x 8 x 3"),
        (np.zeros(3), "three colours and side 8, as the data, found 3;"),
        (np.float64(3), "three colours and side 8, as the data, found one number"),
        (THEIRS - 120, "grey levels from 0 to 255, found others"),
        (THEIRS * np.nan, "grey levels from 0 to 255, found others"),
        (np.array(["text"]), "real numbers, found <U4"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        caffe_mean.read(saved(tmp_path, array), 8)


@pytest.mark.parametrize("content", [b"", b"text of another kind", b"\x93NUMPY", b"PK"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mean").write_bytes(content)
    with pytest.raises(DataError, match=r"mean: expected (a mean image|arrays of numpy), found "):
        caffe_mean.read(tmp_path / "mean", 8)


def test_a_truncated_npy_is_named(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, THEIRS)
    (tmp_path / "mean.npy").write_bytes(stream.getvalue()[:-9])
    with pytest.raises(DataError, match=r"mean\.npy: expected arrays of numpy, found "):
        caffe_mean.read(tmp_path / "mean.npy", 8)
