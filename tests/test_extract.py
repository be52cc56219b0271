"""The prepared set as class folders."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alexrep import locks, manifest
from alexrep.errors import DataError
from alexrep.manifest import Manifest
from alexrep.prepare import extract, extract_layouts
from alexrep.prepare.prepared import Prepared, jpegs, open_prepared

MakeRaw = Callable[..., Path]
Prepare = Callable[..., Path]


def extracted(images: Prepared, out: Path, workers: int = 1) -> Manifest:
    progress: list[int] = []
    record = extract.run(images, out, workers, progress.append)
    assert sum(progress) == sum(n for key, n in record.counts.items() if key.endswith("images"))
    return record


def tree(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*.JPEG*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def expected(images: Prepared) -> dict[str, bytes]:
    wnids = [synset.wnid for synset in images.classes.synsets]
    return {
        f"{split}/{wnids[verdict.label]}/{verdict.name}": content
        for split in images.splits
        for unit in images.units(split)
        for verdict, content in jpegs(images, unit)
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_class_folders_hold_exactly_the_prepared_bytes(
    data: Path, tmp_path: Path, workers: int
) -> None:
    images = open_prepared(data)
    record = extracted(images, tmp_path, workers)
    assert tree(tmp_path) == expected(images)
    assert len(tree(tmp_path)) == 29
    assert record.counts == {
        "test images": 4,
        "train images": 18,
        "val images": 7,
        "val quarantined": 1,
    }
    assert manifest.read(tmp_path / manifest.NAME, "extract") == record


def test_folders_are_those_of_the_classes(data: Path, tmp_path: Path) -> None:
    extracted(open_prepared(data), tmp_path)
    wnids = ["n00000020", "n00000030", "n00000040"]
    for split in ("train", "val", "test"):
        assert sorted(path.name for path in (tmp_path / split).iterdir()) == wnids


def test_images_without_labels_have_a_folder_of_their_own(
    make_raw: MakeRaw, prepare: Prepare, tmp_path: Path
) -> None:
    images = open_prepared(prepare(make_raw(tmp_path / "raw", test_labels=False), tmp_path))
    extracted(images, tmp_path / "out")
    folders = [path.name for path in (tmp_path / "out" / "test").iterdir()]
    assert folders == [extract_layouts.UNLABELLED]


def test_a_repeat_writes_nothing(data: Path, tmp_path: Path) -> None:
    images = open_prepared(data)
    extracted(images, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.JPEG")}
    extracted(images, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.JPEG")}


def test_what_is_missing_cut_or_left_by_a_kill_is_made_whole(
    data: Path, tmp_path: Path, left_partial: Callable[[Path], Path]
) -> None:
    images = open_prepared(data)
    extracted(images, tmp_path)
    paths = sorted((tmp_path / "train" / "n00000030").iterdir())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    paths[2].rename(left_partial(paths[2]))
    with locks.held(tmp_path):
        extracted(images, tmp_path)
    assert tree(tmp_path) == expected(images)


def test_a_finished_folder_is_known_by_its_plan(data: Path, tmp_path: Path) -> None:
    images = open_prepared(data)
    plan = extract.make_plan(images)
    assert manifest.begin(plan, tmp_path / manifest.NAME, tmp_path / "plan.json") is None
    record = extracted(images, tmp_path)
    assert manifest.begin(plan, tmp_path / manifest.NAME, tmp_path / "plan.json") == record


def test_a_missing_tar_is_one_line(data: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(data / "images", tmp_path / "images")
    (tmp_path / "images" / "val" / "00000.tar").unlink()
    with pytest.raises(
        DataError, match=r"00000\.tar: expected prepared images, found no file; run"
    ):
        extracted(open_prepared(tmp_path), tmp_path / "out")


def test_an_image_that_changed_is_named(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "images", tmp_path / "images")
    images = open_prepared(tmp_path)
    verdict, tar = images.verdicts("val/00000")[3], images.tar("val/00000")
    raw = bytearray(tar.read_bytes())
    raw[verdict.offset + verdict.size // 2] ^= 1
    tar.write_bytes(raw)
    message = rf"00000\.tar: {verdict.name}: expected crc32 {verdict.crc32:08x}, found .*; remove"
    with pytest.raises(DataError, match=message):
        extract.run(images, tmp_path / "out", 1, lambda num: None)
