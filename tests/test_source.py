"""The survey of a folder of raw archives: counts, labels, patches, units."""

import dataclasses
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexrep.errors import DataError
from alexrep.ilsvrc import archives, assemble, source
from alexrep.ilsvrc.editions import EDITIONS, Edition
from alexrep.ilsvrc.unit import Source, Unit, train_members

MakeRaw = Callable[..., Path]
MakeTar = Callable[..., bytes]

TRAIN, VAL, PATCHES = "DEMO_img_train.tar", "DEMO_img_val.tar", "DEMO_patch_images.tar"


def tiny(**changes: Any) -> Edition:
    """Return the demo edition with the counts of the tiny one."""
    counts = {"train": 18, "val": 8, "test": 4}
    edition = dataclasses.replace(EDITIONS["demo"], num_synsets=3, num_images=counts)
    return dataclasses.replace(edition, **changes)


def unit_of(surveyed: Source, name: str) -> Unit:
    return next(unit for unit in surveyed.units if unit.name == name)


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.fixture
def own(make_raw: MakeRaw, tmp_path: Path) -> Path:
    """Return a tiny edition that the test may change."""
    return make_raw(tmp_path / "raw")


@pytest.fixture
def change(own: Path, make_tar: MakeTar) -> Callable[[str, dict[str, bytes]], None]:
    """Return a function that writes one of its tars again, with other contents."""

    def change(name: str, members: dict[str, bytes]) -> None:
        (own / name).write_bytes(make_tar(members))

    return change


Change = Callable[[str, dict[str, bytes]], None]


def test_units_are_synsets_in_order_then_ranges_of_val_and_test(raw: Path) -> None:
    surveyed = source.survey(raw, tiny(), partial=False)
    names = ["train/n00000020", "train/n00000030", "train/n00000040", "val/00000", "test/00000"]
    assert [unit.name for unit in surveyed.units] == names
    assert [unit.split for unit in surveyed.units] == ["train"] * 3 + ["val", "test"]
    assert [unit.labels for unit in surveyed.units[:3]] == [(0,), (1,), (2,)]
    assert [unit.num_expected for unit in surveyed.units] == [6, 6, 6, None, None]
    assert surveyed.remarks == ()


def test_images_of_a_synset_are_those_of_its_nested_tar(own: Path) -> None:
    unit = unit_of(source.survey(own, tiny(), partial=False), "train/n00000030")
    listed = train_members(unit)
    assert [member.name for member in listed] == [f"n00000030_{5 + 7 * k}.JPEG" for k in range(6)]
    assert all(archives.read(unit.archive, image).startswith(b"\xff\xd8") for image in listed)


@pytest.mark.parametrize(("split", "num"), [("val", 8), ("test", 4)])
def test_labels_go_by_the_number_in_the_name_whatever_the_order_in_the_tar(
    own: Path, split: str, num: int
) -> None:
    stored = [member.name for member in archives.members(own / f"DEMO_img_{split}.tar")]
    assert stored == sorted(stored, reverse=True)
    unit = unit_of(source.survey(own, tiny(), partial=False), f"{split}/00000")
    names = [f"DEMO_{split}_{number:08d}.JPEG" for number in range(1, num + 1)]
    assert [member.name for member in unit.members] == names
    assert unit.labels == tuple(index % 3 for index in range(num))


def test_a_part_of_val_keeps_its_labels(own: Path, change: Change) -> None:
    members = contents(own / VAL)
    change(
        VAL, {name: members[name] for name in ("DEMO_val_00000008.JPEG", "DEMO_val_00000003.JPEG")}
    )
    unit = unit_of(source.survey(own, tiny(), partial=True), "val/00000")
    assert [
        (member.name[-6], label) for member, label in zip(unit.members, unit.labels, strict=True)
    ] == [
        ("3", 2),
        ("8", 1),
    ]


def test_a_test_split_without_labels_has_minus_one(make_raw: MakeRaw, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw", test_labels=False)
    surveyed = source.survey(raw, tiny(), partial=False)
    assert unit_of(surveyed, "test/00000").labels == (-1, -1, -1, -1)


def test_a_missing_test_split_is_a_remark(own: Path) -> None:
    (own / "DEMO_img_test.tar").unlink()
    surveyed = source.survey(own, tiny(), partial=False)
    assert surveyed.remarks == ("no DEMO_img_test.tar: no test split",)
    assert {unit.split for unit in surveyed.units} == {"train", "val"}


@pytest.mark.parametrize("name", [TRAIN, VAL])
def test_a_missing_train_or_val_tar_is_refused(own: Path, name: str) -> None:
    (own / name).unlink()
    with pytest.raises(DataError, match=rf"raw: expected {name}, found no such file; put it there"):
        source.survey(own, tiny(), partial=True)


@pytest.mark.parametrize("name", [TRAIN, VAL, "DEMO_img_test.tar"])
def test_an_empty_tar_is_refused_even_if_partial(own: Path, change: Change, name: str) -> None:
    change(name, {})
    with pytest.raises(
        DataError, match=rf"{name}: expected \w+ images, found an empty tar; download"
    ):
        source.survey(own, tiny(), partial=True)


def test_val_in_folders_of_2010_is_read_the_same(own: Path, change: Change) -> None:
    flat = source.survey(own, tiny(), partial=False)
    change(VAL, {f"val/{name}": content for name, content in contents(own / VAL).items()})
    nested = source.survey(own, tiny(), partial=False)
    first, second = (unit_of(surveyed, "val/00000") for surveyed in (flat, nested))
    assert [member.name for member in first.members] == [member.name for member in second.members]
    assert first.labels == second.labels


def test_train_tars_may_lie_in_a_folder(own: Path, change: Change) -> None:
    change(TRAIN, {f"train/{name}": content for name, content in contents(own / TRAIN).items()})
    assert len(source.survey(own, tiny(), partial=False).units) == 5


def test_a_missing_synset_is_refused_or_with_partial_a_remark(own: Path, change: Change) -> None:
    members = contents(own / TRAIN)
    change(TRAIN, {name: members[name] for name in list(members)[:2]})
    message = (
        r"DEMO_img_train\.tar: expected 3 synsets, found 2 \(n00000040 missing\); "
        r"download it again, or accept it with --partial"
    )
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=False)
    remark = "DEMO_img_train.tar: 2 (n00000040 missing) instead of 3 synsets, accepted"
    assert remark in source.survey(own, tiny(), partial=True).remarks


def test_a_foreign_synset_is_refused_even_if_partial(own: Path, change: Change) -> None:
    change(TRAIN, contents(own / TRAIN) | {"n99999999.tar": b""})
    message = r"expected synsets of demo's devkit, found n99999999; match the two"
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=True)


def test_the_inner_node_is_a_foreign_synset(own: Path, change: Change) -> None:
    change(TRAIN, contents(own / TRAIN) | {"n00000001.tar": b""})
    with pytest.raises(DataError, match="found n00000001; match the two"):
        source.survey(own, tiny(), partial=True)


def test_a_synset_that_occurs_twice_is_refused(own: Path, change: Change) -> None:
    members = contents(own / TRAIN)
    change(TRAIN, members | {"again/n00000030.tar": members["n00000030.tar"]})
    with pytest.raises(
        DataError, match="expected each synset once, found n00000030; download it again"
    ):
        source.survey(own, tiny(), partial=True)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_wrong_count_is_refused_or_with_partial_a_remark(raw: Path, split: str) -> None:
    counts = {"train": 18, "val": 8, "test": 4} | {split: 50_000}
    name, num = f"DEMO_img_{split}.tar", {"val": 8, "test": 4}[split]
    edition = tiny(num_images=counts)
    with pytest.raises(
        DataError, match=rf"{name}: expected 50,000 {split} images, found {num}; download"
    ):
        source.survey(raw, edition, partial=False)
    remark = f"{name}: {num} instead of 50,000 {split} images, accepted"
    assert source.survey(raw, edition, partial=True).remarks == (remark,)


def test_a_wrong_number_of_synsets_is_refused_or_a_remark(raw: Path) -> None:
    edition = tiny(num_synsets=10)
    with pytest.raises(DataError, match="expected 10 synsets of demo, found 3; download it again"):
        source.survey(raw, edition, partial=False)
    remark = "DEMO_img_train.tar: 3 instead of 10 synsets of demo, accepted"
    assert source.survey(raw, edition, partial=True).remarks == (remark,)


def test_fewer_images_than_lines_of_ground_truth_are_refused_or_a_remark(
    own: Path, change: Change
) -> None:
    change(VAL, dict(list(contents(own / VAL).items())[:5]))
    with pytest.raises(
        DataError, match="found 8 lines of ground truth for 5 images; download it again"
    ):
        source.survey(own, tiny(), partial=False)
    (remark,) = source.survey(own, tiny(), partial=True).remarks
    assert remark.startswith(
        "DEMO_img_val.tar: 8 lines of ground truth for 5 images instead of one"
    )


def test_a_number_beyond_the_ground_truth_is_refused(own: Path, change: Change) -> None:
    change(VAL, contents(own / VAL) | {"DEMO_val_00000009.JPEG": b""})
    message = r"expected a number up to 8, the lines of ground truth, found DEMO_val_00000009\.JPEG"
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=True)


@pytest.mark.parametrize("is_public", [True, False])
def test_missing_test_labels_are_a_remark_where_they_are_public(own: Path, is_public: bool) -> None:
    (own / "DEMO_test_ground_truth.txt").unlink()
    surveyed = source.survey(own, tiny(has_test_labels=is_public), partial=False)
    remark = "DEMO_test_ground_truth.txt: no such file, 4 test images without label accepted"
    assert surveyed.remarks == ((remark,) if is_public else ())
    assert unit_of(surveyed, "test/00000").labels == (-1,) * 4


def test_the_labels_of_2012_are_not_public() -> None:
    public = {name: edition.has_test_labels for name, edition in EDITIONS.items()}
    assert public == {"ilsvrc2010": True, "ilsvrc2012": False, "demo": True}


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("extra", ["00000009.JPEG", "again/00000001.JPEG", "README", ""])
def test_partial_is_advised_where_it_helps_only(
    own: Path, change: Change, split: str, labels: bool, extra: str
) -> None:
    name, start = f"DEMO_img_{split}.tar", f"DEMO_{split}_"
    members = contents(own / name)
    folder, _, last = extra.rpartition("/")
    path = last if last == "README" else str(Path(folder) / f"{start}{last}")
    change(name, (members | {path: b""}) if extra else dict(list(members.items())[:-1]))
    if not labels:
        (own / "DEMO_test_ground_truth.txt").unlink()
    with pytest.raises(DataError) as caught:
        source.survey(own, tiny(), partial=False)
    is_plain = extra == "" or (extra[0] == "0" and split == "test" and not labels)
    assert ("--partial" in str(caught.value)) == is_plain
    if is_plain:
        assert source.survey(own, tiny(), partial=True).remarks
    else:
        with pytest.raises(DataError, match=re.escape(str(caught.value))):
            source.survey(own, tiny(), partial=True)


@pytest.mark.parametrize(
    "name",
    ["ILSVRC2012_val_00000001.JPEG", "DEMO_val_.JPEG", "DEMO_val_x1.JPEG", "DEMO_val_\u00b2"],
)
def test_a_name_of_another_form_is_refused(own: Path, change: Change, name: str) -> None:
    change(VAL, {name: b""})
    message = (
        rf"DEMO_img_val\.tar: expected names like DEMO_val_00000001\.JPEG, found {name}; download"
    )
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=True)


def test_an_image_that_occurs_twice_in_val_is_refused(own: Path, change: Change) -> None:
    members = contents(own / VAL)
    change(VAL, members | {"again/DEMO_val_00000004.JPEG": members["DEMO_val_00000004.JPEG"]})
    message = (
        r"DEMO_img_val\.tar: expected each image once, found DEMO_val_00000004\.JPEG; download"
    )
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=True)


def test_val_is_divided_by_the_thousand(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "UNIT", 3)
    units = [unit for unit in source.survey(own, tiny(), False).units if unit.split == "val"]
    assert [unit.name for unit in units] == ["val/00000", "val/00001", "val/00002"]
    assert [len(unit.members) for unit in units] == [3, 3, 2]
    assert [label for unit in units for label in unit.labels] == [0, 1, 2, 0, 1, 2, 0, 1]


PATCHED = [
    "patch_images/train/n00000040/n00000040_19.JPEG",
    "train/n00000040_19.JPEG",
    "patch_images/val/DEMO_val_00000002.JPEG",
    "val/DEMO_val_00000002.JPEG",
    "patch_images/test/DEMO_test_00000003.JPEG",
]


@pytest.mark.parametrize("path", PATCHED)
def test_a_patch_reaches_its_unit_nested_or_flat(own: Path, change: Change, path: str) -> None:
    change(PATCHES, {path: b"patch"})
    units = source.survey(own, tiny(), partial=False).units
    (unit,) = [unit for unit in units if unit.patches]
    assert unit.split in path.split("/")
    assert list(unit.patches) == [Path(path).name]
    assert unit.patch_archive is not None
    assert archives.read(unit.patch_archive, unit.patches[Path(path).name]) == b"patch"


def test_a_patch_without_namesake_is_an_addition_to_its_synset(own: Path, change: Change) -> None:
    change(PATCHES, {"patch_images/train/n00000020_999.JPEG": b""})
    surveyed = source.survey(own, tiny(), partial=False)
    assert list(unit_of(surveyed, "train/n00000020").patches) == ["n00000020_999.JPEG"]


@pytest.mark.parametrize(
    "path",
    [
        "train/n77777777_1.JPEG",
        "val/DEMO_val_00000099.JPEG",
        "test/x.JPEG",
        "train/n000000201_1.JPEG",
    ],
)
def test_a_patch_that_nothing_uses_is_refused(own: Path, change: Change, path: str) -> None:
    change(PATCHES, {path: b"", "val/DEMO_val_00000002.JPEG": b""})
    message = rf"DEMO_patch_images\.tar: expected a use for each patch, found {path}; put the"
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=False)


def test_with_partial_a_patch_that_nothing_uses_is_left_out_aloud(
    own: Path, change: Change
) -> None:
    change(PATCHES, {"train/n77777777_1.JPEG": b"", "val/DEMO_val_00000002.JPEG": b""})
    remarks = source.survey(own, tiny(), partial=True).remarks
    expected = "left out 1 patches of images that are not here: train/n77777777_1.JPEG"
    assert sum(remark.endswith(expected) for remark in remarks) == 1


def test_a_patch_outside_of_the_splits_is_refused(own: Path, change: Change) -> None:
    change(PATCHES, {"patch_images/DEMO_val_00000002.JPEG": b""})
    message = "expected patches below train, val or test, found patch_images/DEMO_val_00000002"
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=True)


def test_two_patches_of_one_name_are_refused(own: Path, change: Change) -> None:
    change(PATCHES, {"val/DEMO_val_00000002.JPEG": b"", "a/val/DEMO_val_00000002.JPEG": b"1"})
    message = (
        "expected each patch once, found a/val/DEMO_val_00000002.JPEG again; download it again"
    )
    with pytest.raises(DataError, match=message):
        source.survey(own, tiny(), partial=True)


def test_2010_needs_its_patches_unless_partial(own: Path) -> None:
    edition = tiny(name="ilsvrc2010")
    message = (
        r"expected DEMO_patch_images\.tar, found no such file; put it there, or accept the unco"
    )
    with pytest.raises(DataError, match=message):
        source.survey(own, edition, partial=False)
    assert source.survey(own, edition, partial=True).units


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "expected a tar"), (b"text" * 500, "expected a tar"), (bytes(10240), "empty tar")],
)
def test_a_broken_nested_tar_is_named(
    own: Path, change: Change, content: bytes, message: str
) -> None:
    change(TRAIN, contents(own / TRAIN) | {"n00000030.tar": content})
    unit = unit_of(source.survey(own, tiny(), partial=True), "train/n00000030")
    with pytest.raises(DataError, match=rf"^n00000030\.tar in .*DEMO_img_train\.tar: .*{message}"):
        train_members(unit)


def test_the_digests_name_every_input(own: Path, change: Change, make_raw: MakeRaw) -> None:
    before = source.survey(own, tiny(), partial=True).digests
    assert set(before) == {
        TRAIN,
        VAL,
        "DEMO_img_test.tar",
        "classes",
        "val labels",
        "test labels",
    }
    change(PATCHES, {"val/DEMO_val_00000002.JPEG": b""})
    (own / "DEMO_test_ground_truth.txt").unlink()
    change(VAL, dict(reversed(contents(own / VAL).items())))
    after = source.survey(own, tiny(), partial=True).digests
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {VAL, PATCHES, "test labels"}


def test_the_digests_do_not_depend_on_where_the_folder_lies(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own, tmp_path / "copy")
    first, second = (source.survey(raw, tiny(), True).digests for raw in (own, tmp_path / "copy"))
    assert first == second


def test_the_real_dogs_are_understood(real_data: Path) -> None:
    surveyed = source.survey(real_data / "ilsvrc2012-dogs", EDITIONS["ilsvrc2012"], partial=True)
    assert [len(train_members(unit)) for unit in surveyed.units[:10]] == [220] * 10
    assert len(unit_of(surveyed, "val/00000").members) == 450
    stored = archives.members(real_data / "ilsvrc2012-dogs" / "ILSVRC2012_img_val.tar")
    assert [member.name for member in stored] != sorted(member.name for member in stored)
