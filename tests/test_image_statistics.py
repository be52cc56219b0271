"""The pass over the training images that mean and pca share, and its sums."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from alexrep import files, manifest
from alexrep.errors import DataError, ManifestError
from alexrep.pixels.moments import Moments
from alexrep.prepare import estimate, image_statistics
from alexrep.prepare.prepared import Prepared, jpegs, open_prepared

UNITS = ["train/n00000020", "train/n00000030", "train/n00000040"]

MakeRaw = Callable[..., Path]
Prepare = Callable[..., Path]


def nothing(num: int) -> None:
    pass


@pytest.fixture
def prepared(data: Path) -> Prepared:
    return open_prepared(data)


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Prepared:
    """Return a copy of the prepared images that the test may damage."""
    shutil.copytree(data / "images", tmp_path / "images")
    return open_prepared(tmp_path)


@pytest.fixture
def pixels(prepared: Prepared) -> NDArray[np.uint8]:
    """Return all training images, (18, 72, 72, 3)."""
    contents = [content for unit in UNITS for _, content in jpegs(prepared, unit)]
    return np.stack([simplejpeg.decode_jpeg(content, "RGB") for content in contents])


def test_the_streamed_mean_image_is_the_exact_one(data: Path, pixels: NDArray[np.uint8]) -> None:
    mean = np.load(data / "mean.npy")
    assert (mean.shape, mean.dtype) == ((72, 72, 3), np.float32)
    exact = pixels.astype(np.int64).sum(axis=0) / 18
    np.testing.assert_array_equal(mean, exact.astype(np.float32))


def test_the_streamed_covariance_is_the_exact_one(data: Path, pixels: NDArray[np.uint8]) -> None:
    document, flat = json.loads((data / "pca.json").read_text()), pixels.reshape(-1, 3)
    np.testing.assert_allclose(document["covariance"], np.cov(flat, rowvar=False), rtol=1e-9)
    np.testing.assert_allclose(document["mean"], flat.mean(axis=0, dtype=np.float64), rtol=1e-12)
    axes = np.array(document["axes"])
    rebuilt = axes @ np.diag(np.square(document["stds"])) @ axes.T
    np.testing.assert_allclose(rebuilt, document["covariance"], rtol=1e-9, atol=1e-9)
    assert document["stds"] == sorted(document["stds"], reverse=True)
    assert (document["num_pixels"], document["side"]) == (18 * 72 * 72, 72)
    assert document["unit"] == "grey levels (0-255)"


def test_two_workers_find_the_same_sums(prepared: Prepared, data: Path, tmp_path: Path) -> None:
    total = image_statistics.moments(prepared, tmp_path, 2, nothing)
    image_statistics.finish_mean(prepared, tmp_path, total)
    image_statistics.finish_pca(prepared, tmp_path, total)
    names = ("mean.npy", "pca.json", "mean.manifest.json", "pca.manifest.json")
    assert all(files.sha256_file(tmp_path / n) == files.sha256_file(data / n) for n in names)


def test_a_second_pass_reads_no_image(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image_statistics.moments(prepared, tmp_path, 1, nothing)
    monkeypatch.setattr(image_statistics, "jpegs", None)
    progress, before = list[int](), list[int]()
    second = image_statistics.moments(prepared, tmp_path, 1, progress.append, before.append)
    np.testing.assert_array_equal(second.sums, first.sums)
    assert (progress, before) == ([], [18])


def test_a_killed_pass_goes_on_with_the_missing_unit(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image_statistics.moments(prepared, tmp_path, 1, nothing)
    (tmp_path / image_statistics.TOTAL).unlink()
    for unit in (UNITS[0], UNITS[2]):
        image_statistics.sum_unit(unit, prepared, tmp_path)
    summed, sum_unit = list[str](), image_statistics.sum_unit

    def watched(unit: str, prepared: Prepared, folder: Path) -> int:
        summed.append(unit)
        return sum_unit(unit, prepared, folder)

    monkeypatch.setattr(image_statistics, "sum_unit", watched)
    second = image_statistics.moments(prepared, tmp_path, 1, nothing)
    assert summed == ["train/n00000030"]
    np.testing.assert_array_equal(second.sums, first.sums)
    np.testing.assert_array_equal(second.products, first.products)


def test_the_sums_of_other_images_are_refused(
    prepared: Prepared, make_raw: MakeRaw, prepare: Prepare, tmp_path: Path
) -> None:
    image_statistics.moments(prepared, tmp_path / "statistics", 1, nothing)
    other = open_prepared(prepare(make_raw(tmp_path / "raw"), tmp_path))
    with pytest.raises(ManifestError, match=r"plan\.json: expected inputs\.images = '.*', found"):
        image_statistics.moments(other, tmp_path / "statistics", 1, nothing)


def test_only_the_sums_of_all_training_images_stay(data: Path) -> None:
    assert [path.name for path in (data / "statistics").rglob("*.npz")] == ["total.npz"]
    assert Moments.load(data / "statistics/total.npz").num_images == 18


def test_sums_of_units_that_versions_before_left_are_used_and_removed(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image_statistics.moments(prepared, tmp_path / "new", 1, nothing)
    for unit in UNITS:
        image_statistics.sum_unit(unit, prepared, tmp_path / "old")
    monkeypatch.setattr(image_statistics, "jpegs", None)
    before = list[int]()
    second = image_statistics.moments(prepared, tmp_path / "old", 1, nothing, before.append)
    assert before == [6, 6, 6]
    np.testing.assert_array_equal(second.sums, first.sums)
    assert [path.name for path in (tmp_path / "old").rglob("*.npz")] == ["total.npz"]


def test_what_a_kill_left_of_the_units_is_removed(prepared: Prepared, tmp_path: Path) -> None:
    image_statistics.moments(prepared, tmp_path, 1, nothing)
    image_statistics.sum_unit(UNITS[1], prepared, tmp_path)
    image_statistics.moments(prepared, tmp_path, 1, nothing)
    assert [path.name for path in tmp_path.rglob("*.npz")] == ["total.npz"]


def test_the_manifests_name_the_images_and_the_outputs(data: Path, prepared: Prepared) -> None:
    for stage, name in (("mean", "mean.npy"), ("pca", "pca.json")):
        record = manifest.read(data / f"{stage}.{manifest.NAME}", stage)
        assert record.inputs == {"images": prepared.digest}
        assert record.counts == {"train images": 18, "pixels": 18 * 72 * 72}
        assert record.outputs == {name: files.sha256_file(data / name)}
        assert record.settings["side"] == 72
        assert str(record.settings["decoder"]).startswith("simplejpeg ")


@pytest.fixture
def unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the CRC-32 check, as with image lists that have none."""
    monkeypatch.setattr("alexrep.prepare.image_statistics.require_unchanged", lambda *_: None)


def test_an_image_that_changed_is_named(own: Prepared, tmp_path: Path) -> None:
    tar, verdict = own.tar("train/n00000030"), own.verdicts("train/n00000030")[2]
    content = bytearray(tar.read_bytes())
    content[verdict.offset + verdict.size // 2] ^= 1
    tar.write_bytes(content)
    message = rf"n00000030\.tar: {verdict.name}: expected crc32 {verdict.crc32:08x}, found .*; remo"
    with pytest.raises(DataError, match=message):
        image_statistics.moments(own, tmp_path / "statistics", 1, nothing)
    with pytest.raises(DataError, match=message):
        estimate.estimate(own, 10_000, seed=1)
    assert not (tmp_path / "statistics" / "train" / "n00000030.npz").exists()


@pytest.mark.usefixtures("unrecorded")
def test_a_damaged_image_is_named(own: Prepared, tmp_path: Path) -> None:
    tar, verdict = own.tar("train/n00000030"), own.verdicts("train/n00000030")[2]
    content = bytearray(tar.read_bytes())
    content[verdict.offset : verdict.offset + 200] = bytes(200)
    tar.write_bytes(content)
    message = rf"n00000030\.tar: {verdict.name}: expected a sound JPEG, found .*; remove"
    with pytest.raises(DataError, match=message):
        image_statistics.moments(own, tmp_path / "statistics", 1, nothing)
    assert not (tmp_path / "statistics" / "train" / "n00000030.npz").exists()


@pytest.mark.usefixtures("unrecorded")
def test_an_image_of_another_size_is_named(own: Prepared, tmp_path: Path) -> None:
    tar, verdict = own.tar("train/n00000020"), own.verdicts("train/n00000020")[0]
    content = bytearray(tar.read_bytes())
    frame = content.index(b"\xff\xc0", verdict.offset) + 5
    content[frame : frame + 2] = (64).to_bytes(2, "big")
    tar.write_bytes(content)
    message = rf"{verdict.name}: expected (72 pixels each way, found \(64, 72\)|a sound JPEG)"
    with pytest.raises(DataError, match=message):
        image_statistics.moments(own, tmp_path / "statistics", 1, nothing)


def test_no_training_images_are_refused(
    make_raw: MakeRaw, prepare: Prepare, tmp_path: Path
) -> None:
    names = [f"{wnid[6:]}_{5 + 7 * number}.JPEG" for wnid in UNITS for number in range(2)]
    raw = make_raw(tmp_path / "raw", num_train=2, replaced=dict.fromkeys(names, b"text"))
    images = open_prepared(prepare(raw, tmp_path))
    with pytest.raises(
        DataError, match="expected training images, found none; look at its quarant"
    ):
        image_statistics.moments(images, tmp_path / "statistics", 1, nothing)


def test_images_without_contrast_have_no_axes(prepared: Prepared, tmp_path: Path) -> None:
    even = Moments.zero(72)
    even.add(np.full((72, 72, 3), 100, np.uint8))
    with pytest.raises(DataError, match="expected images with some contrast, found none; look at"):
        image_statistics.finish_pca(prepared, tmp_path, even)
    assert not (tmp_path / "pca.json").exists()


def test_the_numbers_of_ilsvrc_2012_are_near_those_of_its_dogs(
    real_data: Path, tmp_path: Path
) -> None:
    from alexrep.ilsvrc import archives
    from alexrep.prepare.image import Target, prepare

    archive, total = real_data / "ilsvrc2012-dogs" / "ILSVRC2012_img_val.tar", Moments.zero(64)
    for member in archives.members(archive)[:100]:
        _, content = prepare(member.name, 0, archives.read(archive, member), Target(64))
        total.add(simplejpeg.decode_jpeg(content, "RGB"))
    np.testing.assert_allclose(total.channel_means(), (123.1, 116.3, 103.3), atol=15)
    stds = np.sqrt(np.diag(total.covariance()))
    np.testing.assert_allclose(stds, (70.9, 68.9, 72.3), atol=12)


@pytest.mark.parametrize("record", ["mean.manifest.json", "pca.manifest.json"])
def test_the_manifests_name_the_geometry(data: Path, record: str) -> None:
    details = json.loads((data / record).read_text())["details"]
    assert details == {"edition": "demo", "side": 72, "geometry": "crop"}


def test_a_jpeg_that_its_digest_vouches_for_and_that_cannot_be_decoded_is_named(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("unsound")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", refuse)
    wanted = r"n\d+_\d+\.JPEG: expected a sound JPEG, found unsound; "
    with pytest.raises(DataError, match=wanted):
        image_statistics.sum_unit(UNITS[0], prepared, tmp_path)
    with pytest.raises(DataError, match=wanted):
        estimate.estimate(prepared, 3, seed=1)


def test_sums_of_fewer_images_than_there_are_are_refused(own: Prepared, tmp_path: Path) -> None:
    """Versions before took them of a list that had lost its end."""
    for unit in UNITS:
        image_statistics.sum_unit(unit, own, tmp_path / "statistics")
    Moments.zero(72).save(tmp_path / "statistics/train/n00000030.npz")
    wanted = "statistics: expected the sums of 18 images, found 12; remove it and start again"
    with pytest.raises(DataError, match=wanted):
        image_statistics.moments(own, tmp_path / "statistics", 1, nothing)
