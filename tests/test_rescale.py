"""Rescaling: the central square, correctly positioned, of any picture."""

import io
from collections.abc import Callable

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from alexrep.pixels import rescale

Pixels = NDArray[np.uint8]
Draw = Callable[..., Pixels]


def square(pixels: Pixels, side: int, geometry: str = "crop") -> NDArray[np.int64]:
    """Rescale an array and return the pixels, (side, side, 3)."""
    result = rescale.to_square(Image.fromarray(pixels), side, geometry)
    assert (result.mode, result.size) == ("RGB", (side, side))
    return np.asarray(result).astype(np.int64)


def ramp(length: int, start: float, end: float, side: int) -> NDArray[np.float64]:
    """Return the values at the centres of `side` pixels that cover start..end of a ramp 0..255."""
    positions = start + (np.arange(side) + 0.5) * (end - start) / side - 0.5
    return positions * 255 / (length - 1)


INNER = slice(2, -2)
"""Pixels away from the edges, beyond which the filter has no neighbours."""


@pytest.mark.parametrize(
    ("height", "width"), [(300, 400), (400, 300), (301, 400), (257, 512), (1000, 350), (256, 300)]
)
def test_the_central_square_is_cut(picture: Draw, height: int, width: int) -> None:
    result = square(picture(height, width, blue=77), 256)
    short, left, top = min(height, width), (width - min(height, width)) / 2, 0.0
    top = (height - short) / 2
    columns, rows = ramp(width, left, left + short, 256), ramp(height, top, top + short, 256)
    assert np.abs(result[:, INNER, 0] - columns[INNER]).max() <= 1
    assert np.abs(result[INNER, :, 1] - rows[INNER, None]).max() <= 1
    assert (result[:, :, 2] == 77).all()


@pytest.mark.parametrize(("height", "width"), [(60, 60), (60, 100), (33, 20)])
def test_a_short_picture_is_enlarged_not_padded(picture: Draw, height: int, width: int) -> None:
    result, short = square(picture(height, width), 256), min(height, width)
    left, top = (width - short) / 2, (height - short) / 2
    columns, rows = ramp(width, left, left + short, 256), ramp(height, top, top + short, 256)
    edge = slice(2 * 256 // short, -2 * 256 // short)
    assert np.abs(result[:, edge, 0] - columns[edge]).max() <= 1.5
    assert np.abs(result[edge, :, 1] - rows[edge, None]).max() <= 1.5


def test_squash_keeps_everything_and_gives_up_the_aspect(picture: Draw) -> None:
    result = square(picture(300, 600), 100, "squash")
    assert np.abs(result[:, INNER, 0] - ramp(600, 0, 600, 100)[INNER]).max() <= 1
    assert np.abs(result[INNER, :, 1] - ramp(300, 0, 300, 100)[INNER, None]).max() <= 1


def test_the_same_side_changes_nothing(picture: Draw) -> None:
    drawn = picture(72, 72, blue=200)
    np.testing.assert_array_equal(square(drawn, 72), drawn)


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.integers(0, 2**32 - 1))
def test_portrait_and_landscape_are_alike(height: int, width: int, side: int, seed: int) -> None:
    # No extremes, so that nothing is clipped between the two passes of the filter.
    noise = np.random.default_rng(seed).integers(90, 166, (height, width, 3)).astype(np.uint8)
    turned = square(np.ascontiguousarray(noise.transpose(1, 0, 2)), side)
    assert np.abs(square(noise, side) - turned.transpose(1, 0, 2)).max() <= 2


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.integers(0, 2**32 - 1))
def test_a_mirrored_picture_gives_the_mirror(height: int, width: int, side: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    mirrored = square(np.ascontiguousarray(noise[:, ::-1]), side)
    assert np.abs(square(noise, side) - mirrored[:, ::-1]).max() <= 1


@settings(max_examples=40)
@given(*[st.integers(1, 300)] * 2, *[st.integers(0, 255)] * 3, st.integers(1, 300))
def test_an_even_colour_stays(
    height: int, width: int, red: int, green: int, blue: int, side: int
) -> None:
    even = np.full((height, width, 3), (red, green, blue), np.uint8)
    assert (square(even, side) == (red, green, blue)).all()


@pytest.mark.parametrize("geometry", rescale.GEOMETRIES)
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (3, 700), (1, 1)])
def test_extreme_shapes_stay_small_and_right(size: tuple[int, int], geometry: str) -> None:
    drawn = np.full((*size, 3), 90, np.uint8)
    drawn[: size[0] // 3], drawn[:, : size[1] // 3] = 0, 0
    result = square(drawn, 256, geometry)
    assert np.abs(result[200:, 200:] - 90).max() <= 1


def test_a_fine_pattern_becomes_even_when_made_small() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    result = square(stripes, 64)
    assert np.abs(result[:, INNER] - 127.5).max() <= 2


def test_an_unknown_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match=r"geometry: expected one of .*crop.*squash.*'stretch'"):
        rescale.to_square(Image.new("RGB", (5, 5)), 4, "stretch")


def test_the_file_is_a_plain_jpeg_of_quality_90_and_half_chroma(picture: Draw) -> None:
    drawn = Image.fromarray(picture(64, 64))
    content = rescale.encode(drawn)
    read = Image.open(io.BytesIO(content))
    assert (read.format, read.mode, read.size) == ("JPEG", "RGB", (64, 64))
    sampling = [layer[1:3] for layer in read.layer]  # type: ignore[attr-defined]
    assert sampling == [(2, 2), (1, 1), (1, 1)]
    expected = io.BytesIO()
    drawn.save(expected, "JPEG", quality=90, subsampling="4:2:0", progressive=False)
    assert content == expected.getvalue()
    assert (rescale.QUALITY, rescale.SUBSAMPLING, rescale.FILTER) == (90, "4:2:0", "bicubic")


def test_metadata_does_not_survive(picture: Draw) -> None:
    drawn, exif = Image.fromarray(picture(64, 64)), Image.Exif()
    exif[0x010E] = "a description"
    stream = io.BytesIO()
    drawn.save(stream, "JPEG", exif=exif, comment=b"said", icc_profile=b"colours", dpi=(7, 7))
    read = Image.open(io.BytesIO(stream.getvalue()))
    content = rescale.encode(rescale.to_square(read, 32))
    assert not any(word in content for word in (b"description", b"said", b"colours", b"Exif"))


@pytest.mark.parametrize(("live", "name"), [("13.0.0", "pillow"), ("9.5.0.post2", "pillow-simd")])
def test_the_version_tells_the_two_pillows_apart(
    monkeypatch: pytest.MonkeyPatch, live: str, name: str
) -> None:
    monkeypatch.setattr(PIL, "__version__", live)
    assert rescale.version() == f"{name} {live}"
