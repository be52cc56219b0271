"""The prepared images as later stages see them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexrep import files, manifest, seal
from alexrep.errors import DataError, ManifestError
from alexrep.prepare.prepared import Prepared, jpegs, open_prepared

UNITS = ["train/n00000020", "train/n00000030", "train/n00000040"]


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Prepared:
    """Return a copy of the prepared images that the test may damage."""
    shutil.copytree(data / "images", tmp_path / "images")
    return open_prepared(tmp_path)


def test_what_was_prepared_is_told(data: Path) -> None:
    images = open_prepared(data)
    assert (images.side, images.splits) == (72, ["train", "val", "test"])
    assert images.units("train") == UNITS
    assert (images.units("val"), images.units("test")) == (["val/00000"], ["test/00000"])
    assert [synset.wnid for synset in images.classes.synsets] == [unit[6:] for unit in UNITS]
    assert images.digest == files.sha256_file(data / "images" / manifest.NAME)


def test_the_quarantine_is_told_and_its_images_are_left_out(data: Path) -> None:
    images = open_prepared(data)
    assert [(image["split"], image["name"]) for image in images.quarantine] == [
        ("val", "DEMO_val_00000005.JPEG")
    ]
    names = [verdict.name for verdict in images.verdicts("val/00000")]
    assert names == [f"DEMO_val_{number:08d}.JPEG" for number in (1, 2, 3, 4, 6, 7, 8)]


@pytest.mark.parametrize("unit", [*UNITS, "val/00000", "test/00000"])
def test_the_bytes_are_those_of_the_digests(data: Path, unit: str) -> None:
    images = open_prepared(data)
    pairs = list(jpegs(images, unit))
    assert [verdict for verdict, _ in pairs] == images.verdicts(unit)
    assert all(files.sha256_bytes(content) == verdict.sha256 for verdict, content in pairs)


def test_without_a_manifest_there_are_no_images(own: Prepared) -> None:
    (own.folder / manifest.NAME).unlink()
    with pytest.raises(
        ManifestError, match="expected a finished preprocess, found no manifest; run"
    ):
        open_prepared(own.folder.parent)


def test_without_classes_there_are_no_images(own: Prepared) -> None:
    (own.folder / "classes.json").unlink()
    with pytest.raises(DataError, match=r"classes\.json: expected a class table, found"):
        open_prepared(own.folder.parent)


@pytest.mark.parametrize("suffix", ["tar", "jsonl"])
def test_a_missing_file_of_a_unit_is_one_line(own: Prepared, suffix: str) -> None:
    (own.folder / f"train/n00000030.{suffix}").unlink()
    with pytest.raises(DataError, match=rf"n00000030\.{suffix}: expected .*, found no file; run"):
        list(jpegs(own, "train/n00000030"))


def test_a_tar_that_was_cut_is_named_with_the_image(own: Prepared) -> None:
    tar = own.tar("train/n00000030")
    last = own.verdicts("train/n00000030")[-1]
    tar.write_bytes(tar.read_bytes()[: last.offset + 10])
    wanted = rf"n00000030\.tar: {last.name}: expected {last.size} bytes, found 10 bytes; remove"
    with pytest.raises(DataError, match=wanted):
        list(jpegs(own, "train/n00000030"))


def num_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_tar_is_opened_when_its_turn_comes_and_closed_after(data: Path) -> None:
    before = num_open()
    for unit in UNITS:
        for _ in jpegs(open_prepared(data), unit):
            assert num_open() == before + 1
    assert num_open() == before


def test_a_list_that_lost_its_end_is_refused_by_every_reader(own: Prepared) -> None:
    path = own.folder / "train/n00000030.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    for read in (own.verdicts, own.all_verdicts, lambda unit: jpegs(own, unit)):
        with pytest.raises(DataError, match=r"n00000030\.jsonl: expected sha256 .*, found another"):
            list(read("train/n00000030"))


def test_another_class_table_is_refused(own: Prepared) -> None:
    table = own.folder / "classes.json"
    table.write_text(table.read_text().replace("crane", "heron"))
    with pytest.raises(DataError, match=r"classes\.json: expected sha256 .*, found another; bring"):
        open_prepared(own.folder.parent)


def break_quarantine(details: dict[str, Any]) -> None:
    details["quarantine"] = []


def break_unit(details: dict[str, Any]) -> None:
    details["units"].pop()


def break_reason(details: dict[str, Any]) -> None:
    details["reasons"]["train"]["ok"] += 1


def break_side(details: dict[str, Any]) -> None:
    details["side"] = "72"


def break_geometry(details: dict[str, Any]) -> None:
    details["geometry"] = "warp"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (break_quarantine, "expected sizes of .*quarantine/val"),
        (break_unit, "expected outputs "),
        (break_reason, "expected counts .*'train images': 19"),
        (break_side, r"expected what preprocess writes at details\.side, found another"),
        (break_geometry, "expected geometry crop, found warp"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    own: Prepared, break_it: Callable[[dict[str, Any]], None], said: str
) -> None:
    path = own.folder / manifest.NAME
    fields = json.loads(path.read_text())
    break_it(fields["details"])
    files.write_json(path, fields)
    seal.path_of(path).unlink()
    with pytest.raises(ManifestError, match=rf"manifest\.json: {said}"):
        open_prepared(own.folder.parent)


def test_a_folder_of_before_without_seals_stays_usable(own: Prepared) -> None:
    seal.path_of(own.folder / manifest.NAME).unlink()
    assert open_prepared(own.folder.parent).manifest == own.manifest
