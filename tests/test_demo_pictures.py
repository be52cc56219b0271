"""The pictures and odd files of the demo edition."""

import gzip
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from alexrep.demo.odd_files import encode_odd, gzipped
from alexrep.demo.pictures import draw, photographs


def pixels(content: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float64)


def test_the_cmyk_picture_is_adobe_s_and_keeps_its_colours() -> None:
    picture = np.full((32, 32, 3), (200, 100, 40), np.uint8)
    content = encode_odd("cmyk", picture, np.random.default_rng(0))
    assert b"Adobe" in content
    assert np.abs(pixels(content) - picture).max() <= 4


def test_the_png_keeps_every_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    content = encode_odd("png", picture, np.random.default_rng(0))
    assert np.array_equal(pixels(content), picture)


def test_an_unknown_odd_kind_is_refused() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"expected one of gray, .*, found 'sepia'"):
        encode_odd("sepia", picture, np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(20))
def test_the_digit_lies_bright_within_the_central_square(seed: int) -> None:
    black = [np.zeros((300, 300, 3), np.uint8)]
    picture = draw(np.full((8, 8), 16.0), black, np.random.default_rng(seed))
    height, width, _ = picture.shape
    side = min(height, width)
    rows, columns = np.nonzero(picture.max(axis=2) > 160)
    top, left = (height - side) / 2, (width - side) / 2
    assert top - 1 <= rows.min() <= rows.max() <= top + side
    assert left - 1 <= columns.min() <= columns.max() <= left + side
    assert 0.65 * side < np.ptp(rows) < 0.96 * side
    assert picture.max() == 255


def test_enlargement_keeps_the_digit_upright() -> None:
    digit = np.zeros((8, 8))
    digit[0, 7] = 16
    black = [np.zeros((300, 300, 3), np.uint8)]
    picture = draw(digit, black, np.random.default_rng(5)).max(axis=2)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert row < picture.shape[0] / 3
    assert column > 2 * picture.shape[1] / 3


def test_the_ground_is_a_darkened_crop_of_the_photograph() -> None:
    rows, columns = np.indices((300, 300)) // 2
    photo = np.stack([rows, columns, np.full((300, 300), 200)], axis=2).astype(np.uint8)
    picture = draw(np.zeros((8, 8)), [photo], np.random.default_rng(4)).astype(np.float64)
    assert 50 <= picture[0, 0, 2] <= 100
    photo_rows, photo_columns = picture[:, :, 0] / picture[0, 0, 2], picture[:, :, 1]
    assert np.ptp(picture[:, :, 2]) == 0
    assert np.ptp(photo_rows, axis=1).max() == 0
    assert np.ptp(photo_columns, axis=0).max() == 0
    # 200 grey levels of blue stand for 400 rows.
    assert np.ptp(photo_rows) == pytest.approx(len(picture) / 400, abs=0.03)


def test_a_gzip_wrapping_holds_no_time() -> None:
    wrapped = gzipped(b"text")
    assert wrapped[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    assert gzip.decompress(wrapped) == b"text"


def test_the_photographs_are_scikit_learn_s() -> None:
    assert [photo.shape for photo in photographs()] == [(427, 640, 3)] * 2
