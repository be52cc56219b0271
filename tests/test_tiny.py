"""Tiny ImageNet in its standard layout."""

import dataclasses
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from alexrep.errors import DataError
from alexrep.ilsvrc import source
from alexrep.ilsvrc.editions import TINY
from alexrep.ilsvrc.layouts import find
from alexrep.ilsvrc.unit import Source
from alexrep.prepare import preprocess
from alexrep.prepare.image import Target
from alexrep.prepare.prepared import open_prepared

Encode = Callable[..., bytes]
Picture = Callable[..., object]

WNIDS = ("n00000030", "n00000020")
"""As wnids.txt has them: not sorted."""


@pytest.fixture
def raw(tmp_path: Path, encoded: Encode, picture: Picture) -> Path:
    """Return two classes of three images, and four of val."""
    raw = tmp_path / "raw"
    sound = encoded(picture(64, 64))
    paths = [f"train/{wnid}/images/{wnid}_{number}.JPEG" for wnid in WNIDS for number in range(3)]
    for path in (*paths, *(f"val/images/val_{number}.JPEG" for number in range(4))):
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_bytes(sound)
    (raw / "wnids.txt").write_text("\n".join(WNIDS))
    (raw / "words.txt").write_text("n00000001\tthing\nn00000020\tcat, feline\nn00000030\tdog\n")
    lines = [f"val_{number}.JPEG\t{WNIDS[number % 2]}\t0\t0\t9\t9\n" for number in range(4)]
    (raw / "val" / "val_annotations.txt").write_text("".join(lines))
    return raw


def survey(raw: Path, partial: bool = True) -> Source:
    return source.survey(raw, None, partial)


def test_it_is_told_by_its_files(raw: Path) -> None:
    assert find.find(raw).edition.name == "tiny"
    assert survey(raw).edition.name == "tiny"


def test_classes_are_sorted_and_ids_are_lines_of_wnids(raw: Path) -> None:
    rows = [(synset.wnid, synset.id, synset.words) for synset in survey(raw).classes.synsets]
    assert rows == [("n00000020", 2, "cat, feline"), ("n00000030", 1, "dog")]


def test_labels_of_val_are_those_of_the_annotations(raw: Path) -> None:
    train, _, val = survey(raw).units
    assert [member.name for member in train.members] == [f"n00000020_{n}.JPEG" for n in range(3)]
    assert [member.name for member in val.members] == [f"val_{n}.JPEG" for n in range(4)]
    assert val.labels == (1, 0, 1, 0)


def test_the_test_split_has_no_labels(raw: Path) -> None:
    (raw / "test" / "images").mkdir(parents=True)
    (raw / "test" / "images" / "test_0.JPEG").write_bytes(b"")
    assert survey(raw).units[-1].labels == (-1,)


def test_its_files_that_are_no_images_are_said(raw: Path) -> None:
    why = "passed over, hidden or no images by their names: val_annotations.txt"
    assert f"val: 1 {why}" in survey(raw).remarks


def test_counts_are_those_of_the_edition(raw: Path) -> None:
    with pytest.raises(DataError, match="train: expected 200 synsets of tiny, found 2; download"):
        survey(raw, partial=False)
    assert "val: 4 instead of 10,000 val images, accepted" in survey(raw).remarks


def test_other_annotations_are_another_input(raw: Path) -> None:
    before, path = survey(raw).digests, raw / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace(*WNIDS))
    after = survey(raw).digests
    assert {name for name in after if after[name] != before[name]} == {"val labels"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("wnids.txt", "", r"wnids\.txt: expected lines of 1 fields, found none; download it again"),
        ("words.txt", "n00000020 cat", r"words\.txt: expected lines of 2 fields, found \['n0000"),
        ("wnids.txt", "n00000020\nn00000040", r"expected wnids of wnids\.txt, found n00000030; "),
        ("wnids.txt", "n00000020\n" * 2, "expected each wnid once, found n00000020; download"),
    ],
)
def test_a_broken_list_is_one_line(raw: Path, name: str, content: str, message: str) -> None:
    (raw / name).write_text(content)
    with pytest.raises(DataError, match=message):
        survey(raw, partial=False)


def test_annotations_and_images_of_val_are_counted(raw: Path) -> None:
    (raw / "val" / "images" / "val_3.JPEG").unlink()
    edition = dataclasses.replace(TINY, num_synsets=2)
    with pytest.raises(
        DataError, match=r"val: expected one label .*, found 4 lines of .* 3 images"
    ):
        source.survey(raw, edition, partial=False)


def test_an_image_without_annotation_is_named(raw: Path) -> None:
    (raw / "val" / "images" / "val_9.JPEG").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"annotations\.txt: expected a line for val_9\.JPEG, found"
    ):
        survey(raw)


def test_a_missing_list_is_one_line(raw: Path) -> None:
    (raw / "words.txt").unlink()
    with pytest.raises(
        DataError, match=r"words\.txt: expected a text file, found .*; download it again"
    ):
        survey(raw)


def test_a_part_of_the_real_set(real_data: Path, tmp_path: Path) -> None:
    kept = ("/n01443537_1", "/n02085620_1", "/val_11", ".txt")
    with tarfile.open(real_data / "tiny-imagenet-50.tar.gz") as tar:
        for member in tar:
            if member.isreg() and any(part in member.name for part in kept):
                tar.extract(member, tmp_path, filter="data")
    surveyed, images = survey(tmp_path / "tiny-imagenet-50"), tmp_path / "data" / "images"
    job = preprocess.begin(surveyed, images, Target(64), partial=True, retry_failed=False)
    preprocess.run(surveyed, images, Target(64), 1, lambda num: None)
    preprocess.finish_if_last(job)
    prepared = open_prepared(tmp_path / "data")
    assert len(prepared.classes) == 50
    assert prepared.classes.synsets[0].words == "goldfish, Carassius auratus"
    verdicts = [verdict for unit in prepared.units("train") for verdict in prepared.verdicts(unit)]
    assert {verdict.why for verdict in verdicts} <= {"copied", "gray"}
    assert prepared.manifest.counts["train images"] == 111 * 2
