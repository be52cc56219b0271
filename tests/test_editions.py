"""Editions: their numbers, and how a folder's edition is detected."""

from pathlib import Path

import pytest

from alexrep.errors import ConfigError, DataError
from alexrep.ilsvrc.editions import EDITIONS, FOLDER, TINY
from alexrep.ilsvrc.layouts import find


@pytest.mark.parametrize(
    ("name", "train", "val", "test", "synsets"),
    [
        ("ilsvrc2010", 1_261_406, 50_000, 150_000, 1000),
        ("ilsvrc2012", 1_281_167, 50_000, 100_000, 1000),
        ("demo", 1_297, 300, 200, 10),
    ],
)
def test_the_counts(name: str, train: int, val: int, test: int, synsets: int) -> None:
    assert EDITIONS[name].num_images == {"train": train, "val": val, "test": test}
    assert (EDITIONS[name].num_synsets, EDITIONS[name].name) == (synsets, name)


def test_the_names_of_the_files_as_distributed() -> None:
    first, second = EDITIONS["ilsvrc2010"], EDITIONS["ilsvrc2012"]
    assert first.archives["train"] == "ILSVRC2010_images_train.tar"
    assert second.archives["val"] == "ILSVRC2012_img_val.tar"
    assert (first.devkit, second.devkit) == (
        "ILSVRC2010_devkit-1.0.tar.gz",
        "ILSVRC2012_devkit_t12.tar.gz",
    )
    assert (first.id_field, second.id_field) == ("ILSVRC2010_ID", "ILSVRC2012_ID")


@pytest.mark.parametrize("name", EDITIONS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_folder_is_told_by_its_train_or_val_tar(tmp_path: Path, name: str, split: str) -> None:
    (tmp_path / EDITIONS[name].archives[split]).touch()
    assert find.find(tmp_path).edition.name == name


@pytest.mark.parametrize("kit", ["{0}", "{1}", "{2}"])
@pytest.mark.parametrize("name", EDITIONS)
def test_folders_beside_a_devkit_are_its_edition(tmp_path: Path, name: str, kit: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / kit.format(*EDITIONS[name].devkits)).mkdir()
    assert find.find(tmp_path).edition.name == name


def test_folders_alone_are_class_folders_of_any_set(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert find.find(tmp_path).edition == FOLDER
    (tmp_path / "wnids.txt").touch()
    assert find.find(tmp_path).edition == TINY
    assert find.find(tmp_path, "folder").edition == FOLDER


def test_a_devkit_alone_is_no_edition(tmp_path: Path) -> None:
    (tmp_path / EDITIONS["demo"].devkit).touch()
    with pytest.raises(DataError, match="found neither; put one edition's"):
        find.find(tmp_path)


def test_a_named_edition_is_taken_at_its_word(tmp_path: Path) -> None:
    (tmp_path / EDITIONS["demo"].archives["train"]).touch()
    assert find.find(tmp_path, "ilsvrc2012").edition.name == "ilsvrc2012"


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    for name in (None, "demo"):
        with pytest.raises(
            DataError, match=r"raw: expected a folder with the ILSVRC tars, found no"
        ):
            find.find(tmp_path / "raw", name)


def test_a_file_is_answered_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    message = r"a\.zip: expected a folder with originals, found a file; name the folder that it"
    with pytest.raises(DataError, match=message):
        find.find(tmp_path / "a.zip")


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    message = r"expected ILSVRC2010_images_train\.tar or .*, found neither; put one edition's"
    with pytest.raises(DataError, match=message):
        find.find(tmp_path)


def test_two_editions_in_one_folder_are_refused(tmp_path: Path) -> None:
    for name in ("ilsvrc2010", "ilsvrc2012"):
        (tmp_path / EDITIONS[name].archives["val"]).touch()
    with pytest.raises(DataError, match="found ilsvrc2010, ilsvrc2012; put one edition's tars"):
        find.find(tmp_path)


def test_an_unknown_name_lists_the_editions(tmp_path: Path) -> None:
    known = "one of ilsvrc2010, ilsvrc2012, demo, folder, tiny"
    message = f"--edition: expected {known}, found 'ilsvrc2011'; choose"
    with pytest.raises(ConfigError, match=message):
        find.find(tmp_path, "ilsvrc2011")
