"""Decoding: colours of every mode, what is refused, and EXIF ignored."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from alexrep.pixels import decode, header
from alexrep.pixels.decode import UndecodableError

Pixels = NDArray[np.uint8]
Draw = Callable[..., Pixels]
Encode = Callable[..., bytes]


def rgb(content: bytes) -> Pixels:
    """Decode and return the pixels, (H, W, 3)."""
    picture = decode.decode(content).picture
    assert picture.mode == "RGB"
    return np.asarray(picture)


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Make a PNG that claims a size but holds one empty row."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """Change the size in the frame header of a baseline JPEG."""
    offset = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:offset] + struct.pack(">HH", height, width) + jpeg[offset + 4 :]


def test_a_jpeg_is_decoded_as_simplejpeg_does(picture: Draw, encoded: Encode) -> None:
    content = encoded(picture(60, 90, blue=30))
    decoded = decode.decode(content)
    assert (decoded.format, decoded.mode, decoded.picture.size) == ("JPEG", "RGB", (90, 60))
    np.testing.assert_array_equal(rgb(content), simplejpeg.decode_jpeg(content, "RGB"))


def test_red_grows_with_the_column_and_green_with_the_row(picture: Draw, encoded: Encode) -> None:
    drawn = picture(60, 90, blue=30)
    assert np.abs(rgb(encoded(drawn)).astype(int) - drawn).max() <= 6
    np.testing.assert_array_equal(rgb(encoded(drawn, "PNG")), drawn)


def test_gray_is_repeated(encoded: Encode) -> None:
    gray = np.linspace(0, 255, 64).round().astype(np.uint8)[:, None].repeat(64, axis=1)
    for form in ("JPEG", "PNG"):
        decoded = decode.decode(encoded(gray, form))
        assert (decoded.mode, decoded.format) == ("L", form)
        channels = np.asarray(decoded.picture)
        assert (channels == channels[:, :, :1]).all()
        assert np.abs(channels[:, :, 0].astype(int) - gray).max() <= 2


@pytest.mark.parametrize(
    ("inks", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((100, 50, 200, 60), (119, 157, 42)),
    ],
)
def test_inks_become_the_colours_they_print(inks: tuple[int, ...], colour: tuple[int, ...]) -> None:
    plane = np.broadcast_to(np.array(inks, np.uint8), (32, 32, 4))
    inverted = np.ascontiguousarray(255 - plane)
    adobe = simplejpeg.encode_jpeg(inverted, 95, "CMYK", "444")
    pillow = saved(Image.new("CMYK", (32, 32), inks), "JPEG", quality=95)
    for content in (adobe, pillow):
        decoded = decode.decode(content)
        assert decoded.mode == "CMYK"
        assert np.abs(np.asarray(decoded.picture).astype(int) - colour).max() <= 3


def test_16_bit_gray_is_divided_by_257_and_not_white() -> None:
    gray = np.array([[0, 257, 128 * 257, 65535], [1, 256, 300, 65534]], np.uint16)
    content = saved(Image.fromarray(gray), "PNG")
    decoded = decode.decode(content)
    assert decoded.mode in {"I;16", "I"}
    expected = [[0, 1, 128, 255], [0, 0, 1, 254]]
    np.testing.assert_array_equal(np.asarray(decoded.picture)[:, :, 0], expected)


def test_a_palette_becomes_its_colours(picture: Draw) -> None:
    colours = Image.fromarray(picture(40, 40)).quantize(32)
    expected = np.asarray(colours.convert("RGB"))
    np.testing.assert_array_equal(rgb(saved(colours, "PNG")), expected)
    np.testing.assert_array_equal(rgb(saved(colours, "PNG", transparency=3)), expected)


def test_alpha_is_dropped(picture: Draw) -> None:
    drawn = picture(40, 50, blue=9)
    alpha = np.arange(2000).reshape(40, 50, 1).astype(np.uint8)
    content = saved(Image.fromarray(np.concatenate([drawn, alpha], axis=2)), "PNG")
    assert decode.decode(content).mode == "RGBA"
    np.testing.assert_array_equal(rgb(content), drawn)


@pytest.mark.parametrize("mode", ["1", "LA"])
def test_rare_modes_become_gray(mode: str) -> None:
    gray = np.zeros((8, 8), np.uint8)
    gray[:, 4:] = 255
    content = saved(Image.fromarray(gray).convert(mode), "PNG")
    assert decode.decode(content).mode == mode
    np.testing.assert_array_equal(rgb(content), gray[:, :, None].repeat(3, axis=2))


def test_exif_turns_nothing(picture: Draw, encoded: Encode) -> None:
    drawn, turned = picture(40, 60), Image.Exif()
    turned[0x0112] = 6
    content = encoded(drawn, exif=turned)
    assert b"Exif" in content
    np.testing.assert_array_equal(rgb(content), rgb(encoded(drawn)))


@pytest.mark.parametrize(
    "noise", [b"II*\0", b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0" * 9, b"\xff" * 60]
)
def test_noise_in_exif_makes_no_warning(picture: Draw, encoded: Encode, noise: bytes) -> None:
    content = encoded(picture(40, 60), exif=b"Exif\0\0" + noise)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert rgb(content).shape == (40, 60, 3)
    assert caught == []


def test_filters_of_warnings_are_as_before(picture: Draw, encoded: Encode) -> None:
    before = list(warnings.filters)
    decode.decode(encoded(picture(8, 8)))
    assert list(warnings.filters) == before


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_forms_are_never_opened(picture: Draw, encoded: Encode, form: str) -> None:
    with pytest.raises(UndecodableError, match=r"^neither JPEG nor PNG$"):
        decode.decode(encoded(picture(20, 20), form))


@pytest.mark.parametrize("content", [b"", b"text", bytes(1000), b"\xff\xd8", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_image_are_refused(content: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode.decode(content)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_an_image_that_is_cut_off_is_refused(
    picture: Draw, encoded: Encode, form: str, share: float
) -> None:
    rng = np.random.default_rng(1)
    content = encoded(rng.integers(0, 256, (200, 200, 3)).astype(np.uint8), form)
    with pytest.raises(UndecodableError, match=r"(?i)truncated|cannot identify|neither"):
        decode.decode(content[: int(share * len(content))])


def framed(jpeg: bytes, marker: int = 0xC0, bits: int = 8, size: str = "") -> bytes:
    """Change the frame of a JPEG: its kind, its precision, or a size to 0."""
    offset = jpeg.index(b"\xff\xc0")
    height, width = (b"\0\0" if name in size else None for name in ("h", "w"))
    sizes = (height or jpeg[offset + 5 : offset + 7]) + (width or jpeg[offset + 7 : offset + 9])
    head = jpeg[:offset] + bytes([0xFF, marker, *jpeg[offset + 2 : offset + 4], bits])
    return head + sizes + jpeg[offset + 9 :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"marker": 0xC3}, "lossless JPEG"),
        ({"marker": 0xC3, "bits": 16}, "lossless JPEG"),
        ({"marker": 0xC5}, "hierarchical JPEG"),
        ({"marker": 0xC1, "bits": 12}, "JPEG of 12 bits a sample"),
        ({"size": "h"}, "JPEG of 50x0 pixels"),
        ({"size": "w"}, "JPEG of 0x40 pixels"),
    ],
)
def test_a_jpeg_of_a_rare_kind_is_called_by_its_kind(
    picture: Draw, encoded: Encode, change: dict[str, Any], reason: str
) -> None:
    jpeg = encoded(picture(40, 50))
    assert rgb(framed(jpeg)).shape == (40, 50, 3)
    with pytest.raises(UndecodableError, match=f"^{reason}$"):
        decode.decode(framed(jpeg, **change))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xd8\xff" + bytes(100), "JPEG with a damaged header"),
        (b"\xff\xd8\xff\xe0\0\0" * 1000, "JPEG with a damaged header"),
        (b"\xff\xd8" + b"\xff" * 1000, "JPEG with a damaged header"),
    ],
)
def test_a_damaged_header_is_told(content: bytes, reason: str) -> None:
    with pytest.raises(UndecodableError, match=f"^{reason}$"):
        decode.decode(content)


def test_a_picture_of_too_many_pixels_is_refused_unread(picture: Draw, encoded: Encode) -> None:
    with pytest.raises(UndecodableError, match=r"^10001x10000 pixels, over 100000000$"):
        decode.decode(png_header(10001, 10000))
    for width, height in ((65500, 65500), (30000, 30000), (20000, 8000)):
        for content in (
            claiming(encoded(picture(40, 40)), width, height),
            png_header(width, height),
        ):
            with pytest.raises(UndecodableError, match="pixels"):
                decode.decode(content)


def test_a_reason_is_one_short_line(monkeypatch: pytest.MonkeyPatch, encoded: Encode) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError("two\nlines, " + "very long " * 100)

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(UndecodableError) as caught:
        decode.decode(b"any")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 200


@settings(max_examples=100)
@given(st.data())
def test_any_bytes_are_decoded_or_refused(data: st.DataObject) -> None:
    drawn = np.arange(24 * 24 * 3).reshape(24, 24, 3).astype(np.uint8)
    content = bytearray(saved(Image.fromarray(drawn), data.draw(st.sampled_from(("JPEG", "PNG")))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert rgb(bytes(content)).ndim == 3
    except UndecodableError as error:
        refusal = str(error)
        assert refusal


def test_too_little_memory_is_no_fault_of_the_image(
    picture: Draw, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: bytearray(1 << 60))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: bytearray(1 << 60))
    with pytest.raises(MemoryError):
        decode.decode(encoded(picture(20, 20)))


def test_a_clean_jpeg_is_told_from_a_damaged_one(picture: Draw, encoded: Encode) -> None:
    content = encoded(picture(72, 72))
    assert decode.is_clean(content)
    hole = content[:-400] + bytes(100) + content[-300:]
    assert not decode.is_clean(hole)
    assert not decode.is_clean(content[:-2])


def test_the_version_names_the_decoder_precisely() -> None:
    name, number = decode.version().split(" ")
    assert name.startswith("libjpeg")
    assert number.count(".") == 2 or name == "libjpeg"


def test_colours_of_a_real_cmyk_photograph(real_data: Path) -> None:
    made = real_data / "hostile" / "made" / "jpeg_cmyk_adobe_inverted.JPEG"
    mean = rgb(made.read_bytes()).mean(axis=(0, 1))
    np.testing.assert_allclose(mean, (115.6, 125.2, 58.8), atol=1)


def test_a_real_ycck_photograph_has_green_grass(real_data: Path) -> None:
    pixels = rgb((real_data / "hostile" / "jpeg-decoder" / "ref_ycck.jpg").read_bytes())
    assert pixels.shape == (333, 500, 3)
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), (109.0, 132.1, 109.6), atol=2)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 5}])
@pytest.mark.parametrize("side", [8, 57, 200])
def test_the_pixels_are_those_of_pillow(
    picture: Draw, encoded: Encode, options: dict[str, int], side: int
) -> None:
    content = encoded(picture(side, side + 3, blue=9), **options)
    plain = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(decode.decode(content).picture), plain)


def with_scans(content: bytes, num: int) -> bytes:
    """Repeat the last scan of a progressive JPEG."""
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * num + content[-2:]


def test_very_many_scans_are_refused(picture: Draw, encoded: Encode) -> None:
    content = encoded(picture(16, 16), progressive=True)
    assert decode.decode(with_scans(content, 100)).mode == "RGB"
    with pytest.raises(UndecodableError, match=r"JPEG of 5[0-9][0-9] scans of 256 pixels"):
        decode.decode(with_scans(content, 500))


def test_fewer_scans_of_a_large_image_are_refused(encoded: Encode) -> None:
    content = encoded(np.zeros((4000, 4000), np.uint8), progressive=True)
    with pytest.raises(UndecodableError, match=r"JPEG of 20[0-9] scans of 16,000,000 pixels"):
        decode.decode(with_scans(content, 200))


@settings(max_examples=80, deadline=None)
@given(
    place=st.integers(0, 700),
    cut=st.integers(0, 3),
    insert=st.binary(max_size=3),
    options=st.sampled_from([{}, {"comment": b"by hand"}, {"icc_profile": bytes(140)}]),
)
def test_the_short_way_says_what_the_long_one_does(
    place: int, cut: int, insert: bytes, options: dict[str, bytes]
) -> None:
    gradient = np.add.outer(np.arange(40), np.arange(3 * 48)).reshape(40, 48, 3).astype(np.uint8)
    content = saved(Image.fromarray(gradient), "JPEG", **options)
    assert header.plain_pixels(content) == 40 * 48
    damaged = content[:place] + insert + content[place + cut :]
    with pytest.MonkeyPatch.context() as patch:
        short = outcome(damaged)
        patch.setattr(decode, "_plain", lambda image_bytes: None)
        assert short == outcome(damaged)


def outcome(content: bytes) -> object:
    """Return all that is known of an image, or why it cannot be decoded."""
    try:
        found = decode.decode(content)
    except UndecodableError as error:
        return str(error)
    return (
        found.picture.tobytes(),
        *(getattr(found, name) for name in ("format", "mode")),
        found.is_clean,
        found.complaint,
    )


@pytest.mark.parametrize(
    ("options", "is_plain"),
    [({"quality": 75}, True), ({"progressive": True}, False), ({"exif": b"Exif\0\0broken"}, False)],
)
def test_the_short_way_is_for_headers_without_extras(
    picture: Draw, options: dict[str, object], is_plain: bool
) -> None:
    content = saved(Image.fromarray(picture(40, 48)), "JPEG", **options)
    assert bool(header.plain_pixels(content)) is is_plain
    gray = saved(Image.fromarray(picture(40, 48)).convert("L"), "JPEG")
    assert header.plain_pixels(gray) == 0
