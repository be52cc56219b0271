"""From any file to one square JPEG and a verdict."""

import gzip
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from alexrep.files import sha256_bytes
from alexrep.prepare import image
from alexrep.prepare.image import Target, Verdict, prepare

Pixels = NDArray[np.uint8]
Draw = Callable[..., Pixels]
Encode = Callable[..., bytes]

TARGET = Target(side=72)


def verdict_of(content: bytes, patched: bool = False) -> tuple[Verdict, bytes]:
    """Prepare a file and check what holds for every verdict."""
    verdict, result = prepare("n1_5.JPEG", 4, content, TARGET, patched)
    assert (verdict.name, verdict.label, verdict.offset) == ("n1_5.JPEG", 4, 0)
    assert verdict.source_sha256 == sha256_bytes(content)
    assert "\n" not in verdict.why
    if verdict.verdict == "quarantined":
        assert result == content
        assert verdict.why
        assert (verdict.sha256, verdict.size, verdict.mode) == ("", 0, "")
    else:
        assert (verdict.sha256, verdict.size) == (sha256_bytes(result), len(result))
        assert simplejpeg.decode_jpeg(result, "RGB").shape == (72, 72, 3)
    return verdict, result


def damaged(jpeg: bytes) -> bytes:
    """Zero part of the image data, which Pillow decodes without an error."""
    return jpeg[:-400] + bytes(100) + jpeg[-300:]


def test_an_rgb_jpeg_is_ok(picture: Draw, encoded: Encode) -> None:
    verdict, result = verdict_of(encoded(picture(90, 120, blue=50)))
    assert (verdict.verdict, verdict.why, verdict.mode) == ("ok", "", "RGB")
    assert (verdict.width, verdict.height) == (120, 90)
    decoded = simplejpeg.decode_jpeg(result, "RGB").astype(int)
    assert np.abs(decoded[36, 36] - (127, 127, 50)).max() <= 4
    assert decoded[36, 4, 0] < decoded[36, 68, 0]


def test_a_clean_jpeg_of_the_side_is_copied_byte_for_byte(picture: Draw, encoded: Encode) -> None:
    content = encoded(picture(72, 72), comment=b"kept")
    verdict, result = verdict_of(content)
    assert (verdict.verdict, verdict.why) == ("ok", "copied")
    assert result == content


@pytest.mark.parametrize("size", [(72, 73), (73, 72), (71, 71), (144, 144)])
def test_a_jpeg_of_another_size_is_not_copied(
    picture: Draw, encoded: Encode, size: tuple[int, int]
) -> None:
    verdict, _ = verdict_of(encoded(picture(*size)))
    assert (verdict.verdict, verdict.why) == ("ok", "")


def test_a_jpeg_that_the_later_decoder_would_refuse_is_not_copied(
    picture: Draw, encoded: Encode
) -> None:
    content = damaged(encoded(picture(72, 72)))
    with pytest.raises(ValueError, match="Corrupt"):
        simplejpeg.decode_jpeg(content, "RGB")
    verdict, result = verdict_of(content)
    assert verdict.verdict == "ok"
    assert verdict.why == "decoder complained: premature end of data segment"
    assert result != content


def test_gray_and_png_are_repaired(picture: Draw, encoded: Encode) -> None:
    gray = picture(72, 72)[:, :, 0].copy()
    verdict, result = verdict_of(encoded(gray))
    assert (verdict.verdict, verdict.why, verdict.mode) == ("repaired", "gray", "L")
    assert np.ptp(simplejpeg.decode_jpeg(result, "RGB").astype(int), axis=2).max() <= 1
    verdict, _ = verdict_of(encoded(picture(72, 72), "PNG"))
    assert (verdict.verdict, verdict.why, verdict.mode) == ("repaired", "PNG", "RGB")


def test_several_repairs_are_all_named(picture: Draw, encoded: Encode) -> None:
    alpha = np.concatenate([picture(80, 80), np.full((80, 80, 1), 9, np.uint8)], axis=2)
    content = gzip.compress(encoded(alpha, "PNG"))
    verdict, _ = verdict_of(content)
    assert (verdict.verdict, verdict.why) == ("repaired", "gzip-wrapped, PNG, alpha")


def test_palettes_16_bits_and_rare_modes_are_named(picture: Draw) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture(80, 80)).quantize(8).save(stream, "PNG")
    assert verdict_of(stream.getvalue())[0].why == "PNG, palette"
    stream = io.BytesIO()
    Image.fromarray(np.full((80, 80), 100 * 257, np.uint16)).save(stream, "PNG")
    verdict, result = verdict_of(stream.getvalue())
    assert verdict.why == "PNG, 16-bit gray"
    assert np.abs(simplejpeg.decode_jpeg(result, "RGB").astype(int) - 100).max() <= 1


@pytest.mark.parametrize("inks", [(0, 255, 255, 0), (100, 50, 200, 60)])
def test_cmyk_is_repaired_to_the_colour_it_prints(inks: tuple[int, int, int, int]) -> None:
    plane = np.full((90, 80, 4), 255 - np.array(inks), np.uint8)
    content = simplejpeg.encode_jpeg(plane, 95, "CMYK", "444")
    verdict, result = verdict_of(content)
    assert (verdict.verdict, verdict.why, verdict.mode) == ("repaired", "CMYK", "CMYK")
    colour = [(255 - ink) * (255 - inks[3]) / 255 for ink in inks[:3]]
    assert np.abs(simplejpeg.decode_jpeg(result, "RGB") - np.array(colour)).max() <= 4


def test_a_gzip_wrapped_jpeg_is_repaired(picture: Draw, encoded: Encode) -> None:
    for size in ((90, 120), (72, 72)):
        plain = encoded(picture(*size))
        verdict, result = verdict_of(gzip.compress(plain))
        assert (verdict.verdict, verdict.why) == ("repaired", "gzip-wrapped")
        pixels = [simplejpeg.decode_jpeg(jpeg, "RGB") for jpeg in (result, verdict_of(plain)[1])]
        assert np.abs(pixels[0].astype(int) - pixels[1]).max() <= 20


def test_a_gzip_bomb_is_quarantined_without_unfolding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_UNWRAPPED", 1 << 16)
    bomb = gzip.compress(bytes(10_000_000))
    verdict, _ = verdict_of(bomb)
    assert verdict.why == "gzip-wrapped, over the limit"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda packed: packed[:-20], "gzip-wrapped, truncated"),
        (lambda packed: packed[:12], "gzip-wrapped, truncated"),
        (lambda packed: packed[:200] + bytes(50) + packed[250:], "gzip-wrapped, "),
        (
            lambda packed: packed[:-6] + b"\0\0" + packed[-4:],
            "gzip-wrapped, .*incorrect data check",
        ),
        (gzip.compress, "neither JPEG nor PNG"),
    ],
)
def test_a_broken_gzip_wrapping_is_quarantined(
    picture: Draw, encoded: Encode, change: Callable[[bytes], bytes], why: str
) -> None:
    verdict, _ = verdict_of(change(gzip.compress(encoded(picture(90, 120)))))
    assert verdict.verdict == "quarantined"
    assert why.replace(".*", "").split(", ")[0] in verdict.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty file"),
        (b"<html>image not found</html>", "neither JPEG nor PNG"),
        (bytes(100_000), "neither JPEG nor PNG"),
        (b"\xff\xd8", "neither JPEG nor PNG"),
        (b"\x1f\x8b", "gzip-wrapped, truncated"),
    ],
)
def test_what_is_no_image_is_quarantined(content: bytes, why: str) -> None:
    verdict, _ = verdict_of(content)
    assert (verdict.verdict, verdict.why) == ("quarantined", why)


def test_a_truncated_jpeg_is_quarantined(picture: Draw, encoded: Encode) -> None:
    content = encoded(picture(200, 200))
    for share in (0.3, 0.9):
        verdict, _ = verdict_of(content[: int(share * len(content))])
        assert verdict.verdict == "quarantined"
        assert "truncated" in verdict.why


def test_a_patch_is_patched_and_says_what_was_repaired(picture: Draw, encoded: Encode) -> None:
    assert verdict_of(encoded(picture(90, 90)), patched=True)[0].verdict == "patched"
    verdict, _ = verdict_of(encoded(picture(90, 90), "PNG"), patched=True)
    assert (verdict.verdict, verdict.why) == ("patched", "PNG")
    assert verdict_of(b"", patched=True)[0].verdict == "quarantined"


def test_squash_reaches_the_pixels(picture: Draw, encoded: Encode) -> None:
    content = encoded(picture(80, 240))
    crop, squash = (
        simplejpeg.decode_jpeg(prepare("a", 0, content, Target(72, form))[1], "RGB")
        for form in ("crop", "squash")
    )
    assert np.ptp(crop[:, :, 0].astype(int)) < 100
    assert np.ptp(squash[:, :, 0].astype(int)) > 200


def test_a_square_of_the_wanted_side_is_copied_whatever_the_geometry(
    picture: Draw, encoded: Encode
) -> None:
    content = encoded(picture(72, 72))
    for form in ("crop", "squash"):
        verdict, prepared = prepare("a", 0, content, Target(72, form))
        assert (verdict.why, prepared) == ("copied", content)


def test_every_hostile_file_gets_a_verdict_in_time(real_data: Path) -> None:
    verdicts = {}
    for path in sorted((real_data / "hostile").glob("*/*.*")):
        start = time.monotonic()
        verdicts[path.name] = verdict_of(path.read_bytes())[0]
        assert time.monotonic() - start < 10, path.name
    assert len(verdicts) == 100
    whys = {name: f"{verdict.verdict} {verdict.why}" for name, verdict in verdicts.items()}
    assert whys["jpeg_real_12000x12000_flat_gray.JPEG"].startswith("quarantined 12000x12000 pixels")
    assert whys["png_real_30000x30000_bomb_named.JPEG"].startswith("quarantined ")
    assert whys["gif_named.JPEG"] == "quarantined neither JPEG nor PNG"
    assert whys["png_gray16_named.JPEG"] == "repaired PNG, 16-bit gray"
    assert whys["jpeg_cmyk_adobe_inverted.JPEG"] == "repaired CMYK"
    assert whys["jpeg_1x5000.JPEG"] == whys["frozenpond.mpo"] == "ok "
    sound = [name for name, verdict in verdicts.items() if verdict.verdict != "quarantined"]
    assert 55 <= len(sound) <= 75


def test_another_quality_is_that_of_the_jpeg(
    encoded: Encode, picture: Callable[..., Pixels]
) -> None:
    content = encoded(picture(90, 100))
    sizes = [
        prepare("a", 0, content, Target(72, quality=quality))[0].size
        for quality in (50, 85, 90, 95)
    ]
    assert sizes == sorted(set(sizes))
    assert prepare("a", 0, content, Target(72, quality=90)) == prepare("a", 0, content, TARGET)


def test_damaged_data_is_used_and_its_verdict_says_so(picture: Draw, encoded: Encode) -> None:
    for content, kind in (
        (encoded(picture(90, 120, blue=50)), "ok"),
        (encoded(np.asarray(picture(90, 120))[..., 0]), "repaired"),
    ):
        verdict, _ = verdict_of(damaged(content))
        assert verdict.verdict == kind
        assert verdict.why.endswith("decoder complained: premature end of data segment")
    assert verdict.why.startswith("gray, ")
