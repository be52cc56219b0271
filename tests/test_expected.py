"""How many images and bytes to expect of an edition."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alexrep import files
from alexrep.ilsvrc import source
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.prepare import expected

SIDE = 72


# Mean bytes of 150 images of ILSVRC, prepared.
@pytest.mark.parametrize(
    ("side", "measured"), [(32, 1_140), (64, 2_365), (128, 6_532), (256, 20_983), (512, 65_375)]
)
def test_the_space_asked_for_is_what_images_need_and_about_a_quarter(
    side: int, measured: int
) -> None:
    in_tar = measured + expected.PER_IMAGE
    assert 1.15 * in_tar < expected.bytes_an_image(side) < 1.4 * in_tar


def test_space_is_asked_for_units_that_are_missing_only(
    raw: Path, prepare: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    monkeypatch.setattr(files, "require_space", lambda folder, need: needed.append(need))
    images = prepare(raw, tmp_path / "data") / "images"
    (images / "manifest.json").unlink()
    (images / "train/n00000020.jsonl").unlink()
    prepare(raw, tmp_path / "data")
    size = expected.bytes_an_image(SIDE)
    assert (
        needed[0]
        == int(expected.total(source.survey(raw, EDITIONS["demo"], partial=True)) * size)
        + expected.PER_EDITION
    )
    assert needed[1] == int(6 * size) + expected.PER_EDITION


# Mean bytes of 80 images of ILSVRC at side 256 by quality, over those at 90.
@pytest.mark.parametrize(("quality", "factor"), [(50, 0.39), (85, 0.8), (92, 1.09), (97, 1.72)])
def test_the_space_follows_the_quality(quality: int, factor: float) -> None:
    fixed = expected.MARGIN * expected.JPEG_HEADER + expected.PER_IMAGE
    plain, other = (expected.bytes_an_image(256, q) - fixed for q in (90, quality))
    assert other / plain == pytest.approx(factor, abs=0.1)
