"""Images in folders: class folders of any set, and ILSVRC unpacked."""

import csv
import dataclasses
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alexrep import files
from alexrep.errors import AlexrepError, DataError
from alexrep.ilsvrc import archives, assemble, folders, source
from alexrep.ilsvrc.editions import EDITIONS
from alexrep.ilsvrc.layouts import find
from alexrep.ilsvrc.unit import Source
from alexrep.prepare import preprocess, units
from alexrep.prepare.image import Target
from alexrep.prepare.prepared import Prepared, jpegs, open_prepared
from alexrep.stages import app

MakeRaw = Callable[..., Path]
Encode = Callable[..., bytes]
Picture = Callable[..., object]

SIDE = 40
NAMES = {"cat": 0, "dog": 1, "kit fox, red": 2}


def write(folder: Path, contents: Mapping[str, bytes]) -> Path:
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def survey(raw: Path, name: str | None = None, partial: bool = False) -> Source:
    return source.survey(raw, name, partial)


def prepare(raw: Path, data: Path, partial: bool = False) -> Prepared:
    """Prepare as `alexrep preprocess` does."""
    surveyed, images, target = survey(raw, partial=partial), data / "images", Target(SIDE)
    job = preprocess.begin(surveyed, images, target, partial, retry_failed=False)
    preprocess.run(surveyed, images, target, 1, lambda num: None)
    preprocess.finish_if_last(job)
    return open_prepared(data)


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file with images, verdicts or classes."""
    paths = (path for path in folder.rglob("*") if path.suffix in {".tar", ".jsonl"})
    return {str(path.relative_to(folder)): files.sha256_file(path) for path in paths}


def alexrep(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.fixture
def drawn(picture: Picture, encoded: Encode) -> dict[str, bytes]:
    """Return the images of three classes: 5 each in train, 2 in val; names repeat."""
    sizes = ((SIDE, SIDE), (50, 60), (60, 45), (SIDE, SIDE), (30, 30))
    return {
        f"{split}/{name}/{number}.jpg": encoded(
            picture(*sizes[number], blue=70 * index + 10 * number + (split == "val"))
        )
        for split, num in (("train", 5), ("val", 2))
        for name, index in NAMES.items()
        for number in range(num)
    }


@pytest.fixture
def raw(tmp_path: Path, drawn: dict[str, bytes]) -> Path:
    return write(tmp_path / "raw", drawn)


def test_class_folders_are_an_edition_of_their_own(raw: Path) -> None:
    assert find.find(raw).edition.name == "folder"
    surveyed = survey(raw)
    assert surveyed.edition.num_images == {"train": 15, "val": 6, "test": 0}
    assert surveyed.remarks == ("no test: no test split",)


def test_classes_are_the_sorted_names_with_rank_plus_1_as_id(raw: Path) -> None:
    table = survey(raw).classes
    assert table.index_of_wnid == NAMES
    assert [(synset.id, synset.words) for synset in table.synsets] == [
        (1, "cat"),
        (2, "dog"),
        (3, "kit fox, red"),
    ]


def test_a_part_of_the_set_has_the_same_class_table(raw: Path) -> None:
    before = survey(raw).classes.digest()
    (raw / "train" / "dog" / "3.jpg").unlink()
    assert survey(raw).classes.digest() == before


def test_a_unit_is_a_class_of_train_or_a_range_of_val(raw: Path) -> None:
    by_name = {unit.name: unit for unit in survey(raw).units}
    assert list(by_name) == ["train/cat", "train/dog", "train/kit fox, red", "val/00000"]
    assert [member.name for member in by_name["train/dog"].members] == [
        f"dog/{n}.jpg" for n in range(5)
    ]
    assert by_name["train/dog"].labels == (1,)
    assert by_name["val/00000"].labels == (0, 0, 1, 1, 2, 2)


def test_a_large_class_is_divided(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "UNIT", 2)
    units = [unit for unit in survey(raw).units if unit.name.startswith("train/dog")]
    assert [unit.name for unit in units] == [f"train/dog/0000{number}" for number in range(3)]
    assert [[member.name for member in unit.members] for unit in units] == [
        ["dog/0.jpg", "dog/1.jpg"],
        ["dog/2.jpg", "dog/3.jpg"],
        ["dog/4.jpg"],
    ]
    assert {unit.labels for unit in units} == {(1,)}


def test_divided_classes_hold_the_same_images(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare(raw, tmp_path / "whole")
    monkeypatch.setattr(assemble, "UNIT", 2)
    divided = prepare(raw, tmp_path / "divided")
    assert len(divided.units("train")) == 9
    first, second = (
        [(v.name, v.label, jpeg) for unit in data.units("train") for v, jpeg in jpegs(data, unit)]
        for data in (whole, divided)
    )
    assert first == second


def test_images_of_the_side_are_copied_byte_for_byte(
    raw: Path, tmp_path: Path, drawn: dict[str, bytes]
) -> None:
    images = prepare(raw, tmp_path)
    copied = {v.name: jpeg for v, jpeg in jpegs(images, "train/dog") if v.why == "copied"}
    assert copied == {name: drawn[f"train/{name}"] for name in ("dog/0.jpg", "dog/3.jpg")}


def test_equal_names_in_two_classes_are_kept_apart_in_quarantine(raw: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (raw / "train" / name / "1.jpg").write_bytes(name.encode())
    images = prepare(raw, tmp_path)
    assert [image["name"] for image in images.quarantine] == ["cat/1.jpg", "dog/1.jpg"]
    for name in ("cat", "dog"):
        kept = images.folder / "quarantine" / "train" / name / "1.jpg"
        assert kept.read_bytes() == name.encode()


def test_a_test_folder_is_taken_for_val_if_there_is_none(raw: Path) -> None:
    before = survey(raw)
    (raw / "val").rename(raw / "test")
    surveyed = survey(raw)
    remark = "no val: the images of test are taken for it, and there is no test split"
    assert surveyed.remarks == (remark,)
    assert [unit.name for unit in surveyed.units] == [unit.name for unit in before.units]
    assert surveyed.edition.num_images == {"train": 15, "val": 6, "test": 0}


def test_a_test_split_of_its_own_has_labels_in_class_folders_and_none_flat(raw: Path) -> None:
    write(raw, {"test/dog/9.jpg": b"", "test/cat/9.jpg": b""})
    assert survey(raw).units[-1].labels == (0, 1)
    shutil.rmtree(raw / "test")
    write(raw, {"test/a.jpg": b"", "test/b.jpg": b""})
    surveyed = survey(raw)
    assert [unit.name for unit in surveyed.units][-1] == "test/00000"
    assert surveyed.units[-1].labels == (-1, -1)


@pytest.mark.parametrize("name", ["a.JPEG", "a.jpg", "a.jpeg", "a.png", "a.JPG", "a.b.Png"])
def test_images_are_known_by_their_suffix(tmp_path: Path, name: str) -> None:
    write(tmp_path, {f"x/{name}": b"123"})
    (member,) = folders.scan(tmp_path).members
    assert (member.path, member.name, member.offset, member.size) == (f"x/{name}", name, 0, 3)
    assert member.mtime == int((tmp_path / "x" / name).stat().st_mtime)


def test_what_is_passed_over_is_said(raw: Path) -> None:
    odd = ("train/.DS_Store", "train/dog/.hidden.jpg", "train/dog/notes.txt", "train/dog/a\nb.gif")
    write(raw, dict.fromkeys((*odd, "val/.cache/0.jpg", "test/cat/0.jpg"), b""))
    (raw / "val" / "zebra").mkdir()
    surveyed = survey(raw)
    why = "passed over, hidden or no images by their names:"
    assert surveyed.remarks == (
        f"train: 4 {why} 'dog/a\\nb.gif', .DS_Store, dog/.hidden.jpg and 1 more",
        f"val: 1 {why} .cache",
        "val: 1 empty folders: zebra/",
    )
    assert surveyed.edition.num_images == {"train": 15, "val": 6, "test": 1}


def test_remarks_stand_in_the_manifest(raw: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"no utf8 \xff.txt")
    write(raw, {f"train/dog/{name}": b""})
    remarks = prepare(raw, tmp_path).manifest.details["remarks"]
    why = "hidden or no images by their names: 'dog/no utf8 \\udcff.txt'"
    assert remarks == ["no test: no test split", f"train: 1 passed over, {why}"]


def test_what_is_no_plain_file_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match=r"'pipe\.jpg': expected a plain file, found a device or a"):
        folders.scan(tmp_path)
    (tmp_path / "pipe.jpg").unlink()
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"'gone\.jpg': expected a plain file, found .* nothing; r"):
        folders.scan(tmp_path)


@pytest.mark.parametrize("name", ["a\n.jpg", "a\x7f.jpg", os.fsdecode(b"\xff.jpg")])
def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    for number, path in enumerate((f"dog/{name}", f"{name}/0.jpg")):
        raw = write(tmp_path / str(number), {path: b""})
        with pytest.raises(DataError, match="found an unprintable name") as caught:
            folders.scan(raw)
        assert str(caught.value).isprintable()


def test_links_are_followed_but_not_in_circles(raw: Path) -> None:
    (raw / "train" / "dog" / "5.jpg").symlink_to("0.jpg")
    (raw / "train" / "cat").rename(raw / "cats")
    (raw / "train" / "cat").symlink_to(raw / "cats")
    assert survey(raw).edition.num_images["train"] == 16
    (raw / "train" / "dog" / "circle").symlink_to("..")
    with pytest.raises(DataError, match=r"train: expected images under at most 4 folders, found"):
        survey(raw)
    (raw / "train" / "dog" / "circle").unlink()
    (raw / "train" / "dog" / "self").symlink_to("self")
    with pytest.raises(DataError, match=r"dog/self: expected a readable folder, found Too many"):
        survey(raw)


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "only val": (("val/cat/0.jpg",), "or train/ with class folders, found neither"),
    "no val": (("train/cat/0.jpg", "train/dog/0.jpg"), r"expected val/ or test/ beside train/,"),
    "train itself": (("cat/0.jpg", "dog/0.jpg"), r"found class folders \(cat, dog\); name the fol"),
    "a class itself": (("0.jpg", "1.jpg"), "found images in no folder; name the folder that has"),
    "the parent": (("set/train/cat/0.jpg",), r"set: expected val/ or test/ beside train/,"),
    "one class": (
        ("train/cat/0.jpg", "val/cat/0.jpg"),
        "train: expected two class folders or more, found one, cat; name the right folder",
    ),
    "no class folders": (
        ("train/0.jpg", "train/1.jpg", "val/0.jpg"),
        r"train: expected images as <class>/<image>, found 0\.jpg, 1\.jpg; sort them",
    ),
    "too deep": (
        ("train/cat/a/0.jpg", "train/dog/0.jpg", "val/cat/0.jpg"),
        r"train: expected images as <class>/<image>, found cat/a/0\.jpg; sort them",
    ),
    "no images": (
        ("train/cat.tar", "train/dog.tar", "val/cat/0.jpg"),
        r"train: expected train images, found only cat\.tar, dog\.tar; name",
    ),
    "flat val": (
        ("train/cat/0.jpg", "train/dog/0.jpg", "val/ILSVRC2012_val_00000001.JPEG"),
        r"val: expected images as <class>/<image>, found ILSVRC2012_val_00000001\.JPEG",
    ),
    "foreign class": (
        ("train/cat/0.jpg", "train/dog/0.jpg", "val/cow/0.jpg", "val/cat/0.jpg"),
        "val: expected classes of train, found cow; add it to train or remove it",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_layout_is_one_line(tmp_path: Path, case: str) -> None:
    paths, message = WRONG[case]
    raw = write(tmp_path / "raw", dict.fromkeys(paths, b""))
    with pytest.raises(DataError, match=message) as caught:
        survey(raw)
    assert "\n" not in str(caught.value)


def test_the_wrong_root_is_told_to_who_names_the_edition_too(raw: Path) -> None:
    message = "expected train/ with class folders, found class folders"
    with pytest.raises(DataError, match=message):
        survey(raw / "train", "folder")
    assert survey(raw.parent, "folder").remarks[0] == f"read from raw/ in {raw.parent.name}/"


def test_an_empty_class_of_train_is_refused(raw: Path) -> None:
    (raw / "train" / "cow").mkdir()
    with pytest.raises(DataError, match=r"images in each class folder, found none in cow/; fill"):
        survey(raw)


def change_size(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def change_time(path: Path) -> None:
    os.utime(path, (5, 5))


@pytest.mark.parametrize(
    "change",
    [change_size, change_time, Path.unlink, lambda path: path.rename(path.with_name("x.jpg"))],
)
def test_the_digest_tells_a_changed_file(raw: Path, change: Callable[[Path], object]) -> None:
    before = survey(raw).digests
    change(raw / "val" / "dog" / "1.jpg")
    after = survey(raw).digests
    assert {name for name in after if after[name] != before[name]} == {"val"}


def test_the_digest_does_not_depend_on_where_the_folder_lies(raw: Path, tmp_path: Path) -> None:
    shutil.copytree(raw, tmp_path / "copy")
    assert survey(tmp_path / "copy").digests == survey(raw).digests


def test_another_start_on_a_changed_folder_is_refused(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "data")
    change_size(raw / "train" / "dog" / "1.jpg")
    with pytest.raises(AlexrepError, match=r"expected inputs\.train = '\d+ bytes, index .*, found"):
        prepare(raw, tmp_path / "data")


def test_a_file_that_changed_since_the_survey_is_one_line(raw: Path, tmp_path: Path) -> None:
    unit = survey(raw).units[0]
    change_size(raw / "train" / "cat" / "0.jpg")
    with pytest.raises(DataError, match=r"cat/0\.jpg: expected \d+ bytes, found \d+ bytes; leave"):
        units.prepare_unit(unit, tmp_path / "images", Target(SIDE))
    (raw / "train" / "cat" / "0.jpg").unlink()
    with pytest.raises(DataError, match=r"cat/0\.jpg: expected a readable file, found No such"):
        units.prepare_unit(unit, tmp_path / "images", Target(SIDE))
    assert not tree(tmp_path)


def test_a_restart_makes_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    undisturbed = prepare(raw, tmp_path / "one")
    images = tmp_path / "two" / "images"
    preprocess.begin(survey(raw), images, Target(SIDE), partial=False, retry_failed=False)
    for unit in survey(raw).units[:2]:
        units.prepare_unit(unit, images, Target(SIDE))
    before = (images / "train" / "dog.tar").stat().st_mtime_ns
    again = prepare(raw, tmp_path / "two")
    assert (images / "train" / "dog.tar").stat().st_mtime_ns == before
    assert again.manifest == undisturbed.manifest
    assert tree(again.folder) == tree(undisturbed.folder)


def test_class_folders_go_through_every_stage(raw: Path, tmp_path: Path) -> None:
    (raw / "val").rename(raw / "test")
    data = tmp_path / "data"
    result = alexrep("preprocess", raw, data, "--side", str(SIDE), "--workers", "2")
    assert "alexrep: no val: the images of test are taken for it" in result
    for stage in ("mean", "pca"):
        assert "15 train images" in alexrep(stage, data, "--workers", "1")
    assert "6 val images\n" in alexrep("pack", data, "--workers", "1")
    assert "every digest and count of images" in alexrep("verify", data, "--deep")


# ILSVRC, unpacked


def unpacked(raw: Path, to: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> Path:
    """Unpack a tiny edition: train to class folders, the others flat; the devkit stays."""
    shutil.copytree(raw, to)
    for split in splits:
        archive = to / f"DEMO_img_{split}.tar"
        for member in archives.members(archive):
            if split == "train":
                inner = archives.members(archive, member.offset, member.size)
                wnid = member.name.removesuffix(".tar")
                write(to, {f"train/{wnid}/{m.name}": archives.read(archive, m) for m in inner})
            else:
                write(to, {f"{split}/{member.name}": archives.read(archive, member)})
        archive.unlink()
    return to


@pytest.fixture
def odd(make_raw: MakeRaw, tmp_path: Path, encoded: Encode, picture: Picture) -> Path:
    """Return a tiny edition in tars, with a broken image and two patches."""
    sound = encoded(picture(50, 60, blue=9))
    patches = {
        "patch_images/train/n00000040/n00000040_19.JPEG": sound,
        "patch_images/val/DEMO_val_00000002.JPEG": sound,
    }
    return make_raw(tmp_path / "odd", replaced={"n00000020_12.JPEG": b"x"}, patches=patches)


@pytest.mark.parametrize("splits", [("train", "val", "test"), ("train",), ("val", "test")])
def test_folders_and_tars_of_the_same_images_give_the_same_bytes(
    odd: Path, tmp_path: Path, splits: tuple[str, ...]
) -> None:
    other = unpacked(odd, tmp_path / "unpacked", splits)
    assert find.find(other).edition.name == "demo"
    first, second = prepare(odd, tmp_path / "a", partial=True), prepare(other, tmp_path / "b", True)
    assert len(tree(first.folder)) == 10
    assert tree(first.folder) == tree(second.folder)
    assert first.manifest.outputs == second.manifest.outputs
    assert first.manifest.counts == second.manifest.counts


def test_patches_may_be_unpacked_too(odd: Path, tmp_path: Path) -> None:
    packed = prepare(odd, tmp_path / "a", partial=True)
    with tarfile.open(odd / "DEMO_patch_images.tar") as tar:
        tar.extractall(odd / "DEMO_patch_images", filter="data")
    assert "DEMO_patch_images is not read" in " ".join(survey(odd, partial=True).remarks)
    (odd / "DEMO_patch_images.tar").unlink()
    assert tree(prepare(odd, tmp_path / "b", partial=True).folder) == tree(packed.folder)


def test_val_in_class_folders_gives_the_same_bytes(odd: Path, tmp_path: Path) -> None:
    other = unpacked(odd, tmp_path / "unpacked")
    unit = next(unit for unit in survey(other, partial=True).units if unit.split == "val")
    wnids = ("n00000020", "n00000030", "n00000040")
    for member, label in zip(unit.members, unit.labels, strict=True):
        (other / "val" / wnids[label]).mkdir(exist_ok=True)
        (other / "val" / member.name).rename(other / "val" / wnids[label] / member.name)
    first, second = prepare(odd, tmp_path / "a", partial=True), prepare(other, tmp_path / "b", True)
    assert tree(first.folder) == tree(second.folder)


def test_val_in_the_wrong_class_folder_is_named(odd: Path, tmp_path: Path) -> None:
    other = unpacked(odd, tmp_path / "unpacked")
    (other / "val" / "n00000040").mkdir()
    path = other / "val" / "DEMO_val_00000001.JPEG"
    path.rename(path.parent / "n00000040" / path.name)
    message = (
        "val: expected images in the class folders of the ground truth, "
        "found n00000040/DEMO_val_0000"
    )
    with pytest.raises(DataError, match=message):
        survey(other, partial=True)


def test_a_split_in_both_forms_is_read_from_its_tar_and_said(odd: Path) -> None:
    write(odd, {"train/n00000020/n00000020_1.JPEG": b""})
    surveyed = survey(odd, partial=True)
    assert "train is not read: DEMO_img_train.tar is there too" in surveyed.remarks
    assert surveyed.units[0].is_nested


def test_a_folder_named_like_the_tar_is_taken(odd: Path, tmp_path: Path) -> None:
    other = unpacked(odd, tmp_path / "unpacked")
    (other / "train").rename(other / "DEMO_img_train")
    assert find.find(other).edition.name == "demo"
    assert survey(other, partial=True).units[0].archive == other / "DEMO_img_train"


def test_a_missing_class_folder_is_counted(odd: Path, tmp_path: Path) -> None:
    other = unpacked(odd, tmp_path / "unpacked")
    shutil.rmtree(other / "train" / "n00000030")
    with pytest.raises(DataError, match=r"train: expected 3 synsets, found 2 \(n00000030 missing"):
        survey(other)
    write(other, {"train/n99999999/0.JPEG": b""})
    with pytest.raises(DataError, match=r"train: expected synsets of demo's devkit, found n99999"):
        survey(other, partial=True)


def test_an_image_missing_from_a_class_folder_is_counted(odd: Path, tmp_path: Path) -> None:
    other = unpacked(odd, tmp_path / "unpacked")
    (other / "train" / "n00000030" / "n00000030_5.JPEG").unlink()
    counts = {"train": 18, "val": 8, "test": 4}
    edition = dataclasses.replace(EDITIONS["demo"], num_synsets=3, num_images=counts)
    unit = source.survey(other, edition, partial=False).units[1]
    with pytest.raises(DataError, match="n00000030: expected 6 images, found 5; download"):
        units.prepare_unit(unit, tmp_path / "images", Target(SIDE))


# Real data


def take(archive: Path, to: Path, wanted: Callable[[str], bool]) -> Path:
    """Unpack some members of a tar."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isreg() and wanted(member.name):
                tar.extract(member, to, filter="data")
    return to


def test_a_part_of_real_cifar10_is_copied(real_data: Path, tmp_path: Path) -> None:
    few = ("airplane/000", "cat/000", "ship/000")
    raw = take(
        real_data / "cifar10.tar.gz", tmp_path, lambda name: any(part in name for part in few)
    )
    alexrep("preprocess", raw / "cifar10", tmp_path / "data", "--side", "32", "--workers", "1")
    images = open_prepared(tmp_path / "data")
    assert images.manifest.counts == {
        "train images": 30,
        "train ok": 30,
        "val images": 30,
        "val ok": 30,
    }
    assert images.manifest.details["reasons"] == {
        "train": {"ok: copied": 30},
        "val": {"ok: copied": 30},
    }
    for split, unit in (("train", "train/cat"), ("test", "val/00000")):
        for verdict, jpeg in jpegs(images, unit):
            assert jpeg == (raw / "cifar10" / split / verdict.name).read_bytes()


NARROW = (
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
)
"""Environments in which Python writes ASCII; in the second, file names are ASCII too."""


def in_ascii(chosen: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alexrep.stages", *map(str, words)]
    narrow = os.environ | chosen
    return subprocess.run(command, capture_output=True, check=False, env=narrow, encoding="utf-8")


@pytest.mark.parametrize("chosen", NARROW)
@pytest.mark.parametrize("form", ["--json", "--split=val"])
def test_tables_are_utf8_in_every_locale(
    raw: Path, tmp_path: Path, chosen: dict[str, str], form: str
) -> None:
    (raw / "val/cat/0.jpg").rename(raw / "val/cat/K\u00e4tzchen.jpg")
    prepare(raw, tmp_path / "data")
    done = in_ascii(chosen, "images", tmp_path / "data", form)
    assert done.stderr == ""
    assert "K\u00e4tzchen.jpg" in done.stdout


@pytest.mark.slow
def test_names_of_files_that_the_locale_lacks_are_one_line(raw: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        (raw / split / "cat").rename(raw / split / "K\u00e4tzchen")
    prepare(raw, tmp_path / "data")
    assert "K\u00e4tzchen" in in_ascii(NARROW[0], "classes", tmp_path / "data").stdout
    for words in (("images",), ("extract", tmp_path / "out")):
        done = in_ascii(NARROW[1], words[0], tmp_path / "data", *words[1:])
        message = (
            "alexrep: names of files: expected an encoding that has 'train/K\\xe4tzchen', found "
        )
        assert (done.returncode, done.stderr) == (1, f"{message}ascii; set LC_ALL=C.UTF-8\n")


def test_training_images_of_class_folders_are_counted(raw: Path, tmp_path: Path) -> None:
    (raw / "train/dog/4.jpg").write_bytes(b"no image")  # counted as well, as with a devkit
    (raw / "train/cat/4.jpg").unlink()
    prepare(raw, tmp_path / "data")
    rows = list(csv.DictReader(alexrep("classes", tmp_path / "data").splitlines()))
    assert [row["num_train_images"] for row in rows] == ["4", "5", "5"]


def test_names_of_images_in_class_folders_tell_no_class(raw: Path, tmp_path: Path) -> None:
    (raw / "train/cat").rename(raw / "train/n02086240")
    (raw / "val/cat").rename(raw / "val/n02086240")
    (raw / "train/dog/0.jpg").rename(raw / "train/dog/n02086240_0.jpg")
    (raw / "train/n02086240/0.jpg").rename(raw / "train/n02086240/n02087394_7.jpg")
    assert prepare(raw, tmp_path / "data").manifest.counts["train images"] == 15


def test_flat_images_with_the_wnid_in_their_names_have_the_same_labels(
    tmp_path: Path, drawn: dict[str, bytes]
) -> None:
    wnids = dict(zip(NAMES, ("n01440764", "n01443537", "n01484850"), strict=True))
    flat, sorted_in = {}, {}
    for path, content in drawn.items():
        split, name, number = path.split("/")
        base = f"{wnids[name]}_{number}"
        flat[f"{split}/{base}"] = sorted_in[f"{split}/{wnids[name]}/{base}"] = content
    surveys = [survey(write(tmp_path / name, c)) for name, c in (("a", flat), ("b", sorted_in))]
    labels = [
        {Path(name).name: label for unit in one.units for name, label in unit.label_of.items()}
        for one in surveys
    ]
    assert labels[0] == labels[1]
    assert set(labels[0].values()) == {0, 1, 2}
    assert surveys[0].classes == surveys[1].classes


def test_a_flat_name_without_a_wnid_is_refused(tmp_path: Path, drawn: dict[str, bytes]) -> None:
    raw = write(tmp_path / "raw", drawn | {"train/fish_1.jpg": b""})
    with pytest.raises(DataError, match=r"images as <class>/<image>, found fish_1\.jpg; sort"):
        survey(raw)


def test_a_class_in_another_unicode_form_is_told(tmp_path: Path, drawn: dict[str, bytes]) -> None:
    image = next(iter(drawn.values()))
    one, two = "caf\u00e9", "cafe\u0301"  # a Mac writes the second
    images = {f"train/{one}/a.jpg": image, "train/dog/a.jpg": image, f"val/{two}/b.jpg": image}
    write(tmp_path / "raw", images)
    with pytest.raises(DataError, match="the same letters in another Unicode form"):
        survey(tmp_path / "raw")
