"""Verification: no output for sound data, and every fault is named."""

import json
import os
import re
import shutil
from pathlib import Path

import h5py
import pytest

from alexrep import manifest, seal
from alexrep.errors import ManifestError
from alexrep.files import sha256_file, write_json
from alexrep.prepare import tar_blocks, units
from alexrep.prepare.image import Verdict
from alexrep.prepare.prepared import open_prepared
from alexrep.shards import check, read


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data folder that the test may damage."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def faults(data: Path, deep: bool = False) -> list[str]:
    return list(check.check(data, deep, lambda num: None))


def rewrite(record: Path, fields: dict[str, object]) -> None:
    """Write a manifest anew, as one who knows its seal would."""
    write_json(record, fields)
    seal.write(record, record.read_bytes())


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))


def test_sound_data_has_no_fault(data: Path) -> None:
    assert faults(data) == []
    assert faults(data, deep=True) == []


def test_progress_counts_every_image_read(data: Path) -> None:
    for deep, num in ((False, 29), (True, 58)):
        progress: list[int] = []
        list(check.check(data, deep, progress.append))
        assert sum(progress) == num


def test_unfinished_stages_are_no_fault(own: Path) -> None:
    for name in ("mean.manifest.json", "pca.manifest.json"):
        (own / name).unlink()
    shutil.rmtree(own / "shards")
    assert faults(own, deep=True) == []


def test_without_prepared_images_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="expected a finished preprocess, found no manifest"):
        faults(tmp_path)


def test_a_flipped_byte_of_an_image_is_named_with_image_and_shard(own: Path) -> None:
    path = own / "shards" / "train-00001.h5"
    shard = read.open_shard(path)
    flip(path, shard.start + int(shard.offsets[3]) + 100)
    (fault,) = faults(own)
    assert f"train-00001.h5: image 3, {shard.names[3].decode()}: expected" in fault


def test_every_flipped_image_is_named(own: Path) -> None:
    path = own / "shards" / "train-00000.h5"
    shard = read.open_shard(path)
    for row in (1, 6):
        flip(path, shard.start + int(shard.offsets[row]) + 50)
    assert ["image 1," in faults(own)[0], "image 6," in faults(own)[1]] == [True, True]


def test_a_flipped_byte_outside_of_the_images_is_found(own: Path) -> None:
    path = own / "shards" / "val-00000.h5"
    with h5py.File(path, "r+") as shard:
        shard.attrs["seed"] = 9
    (fault,) = faults(own)
    assert "val-00000.h5: expected sha256" in fault


def test_a_wrong_label_is_found(own: Path) -> None:
    path = own / "shards" / "train-00002.h5"
    with h5py.File(path, "r+") as shard:
        name, label = shard["names"][1].decode(), shard["labels"][1]
        shard["labels"][1] = (label + 1) % 3
    (fault,) = faults(own)
    other = f"{name} with label {(label + 1) % 3}; remove {path} and pack again"
    assert fault == f"{path}: image 1: expected {name} with label {label}, found {other}"


def test_a_wrong_label_in_a_damaged_list_is_no_fault_of_the_shard(own: Path) -> None:
    path = own / "images" / "val" / "00000.jsonl"
    path.write_text(path.read_text().replace('"label": 0', '"label": 1', 1))
    (fault,) = faults(own)
    assert "val/00000.jsonl: expected sha256" in fault


def test_wrong_names_are_counted_and_the_first_is_named(own: Path) -> None:
    path = own / "shards" / "val-00000.h5"
    with h5py.File(path, "r+") as shard:
        first, second = shard["names"][2:4]
        shard["names"][2:4] = [second, first]
    (fault,) = faults(own)
    assert f"image 2: expected {first.decode()} with label" in fault
    assert f"found {second.decode()} with label" in fault
    assert " and 1 more; remove" in fault


def test_a_wrong_label_in_a_shard_that_its_manifest_vouches_for_is_found(own: Path) -> None:
    path, record = own / "shards" / "train-00002.h5", own / "shards" / manifest.NAME
    with h5py.File(path, "r+") as shard:
        shard["labels"][1] = (shard["labels"][1] + 1) % 3
    fields = json.loads(record.read_text())
    fields["outputs"][path.name] = sha256_file(path)
    rewrite(record, fields)
    (fault,) = faults(own)
    assert "train-00002.h5: image 1: expected n000000" in fault


@pytest.mark.parametrize("label", [3, -1, -2, 2**31 - 1])
def test_a_label_of_no_class_is_named(own: Path, label: int) -> None:
    with h5py.File(own / "shards" / "train-00002.h5", "r+") as shard:
        shard["labels"][1] = label
        name = shard["names"][1].decode()
    (fault,) = faults(own)
    assert f"image 1, {name}: expected a label from 0 to 2, found {label}; remove" in fault


def test_a_shard_that_is_cut_off_is_found(own: Path) -> None:
    path = own / "shards" / "train-00001.h5"
    os.truncate(path, path.stat().st_size - 500)
    lines = faults(own)
    assert "train-00001.h5: expected a shard, found" in lines[0]
    assert "shards: expected 18 train images, found 10; pack again" in lines[1]


def test_a_missing_shard_is_found(own: Path) -> None:
    (own / "shards" / "val-00000.h5").unlink()
    lines = faults(own)
    assert "val-00000.h5: expected a file, found none; pack again" in lines[0]
    assert "expected 7 val images, found 0" in lines[1]


def test_a_foreign_shard_is_found(own: Path) -> None:
    shutil.copyfile(own / "shards" / "val-00000.h5", own / "shards" / "val-00001.h5")
    (fault,) = faults(own)
    assert "val-00001.h5: expected only the shards of the manifest, found a foreign one" in fault


def test_a_shard_of_other_images_is_found(own: Path) -> None:
    shutil.copyfile(own / "shards" / "train-00000.h5", own / "shards" / "train-00001.h5")
    (fault,) = faults(own)
    assert "train-00001.h5: image 0: expected n000000" in fault
    assert " and 7 more; remove" in fault


@pytest.mark.parametrize("content", [None, b"[]", b"["])
def test_a_damaged_copy_of_the_class_table_is_found(own: Path, content: bytes | None) -> None:
    path = own / "shards" / "classes.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (fault,) = faults(own)
    assert "shards/classes.json: expected" in fault


def test_without_the_class_table_nothing_after_it_is_verified(own: Path) -> None:
    (own / "images" / "classes.json").write_text("[]")
    (own / "shards" / "val-00000.h5").unlink()
    digest, table = faults(own)
    assert "images/classes.json: expected sha256 " in digest
    assert "images/classes.json: expected a class table" in table


@pytest.mark.parametrize("name", ["mean.npy", "pca.json"])
def test_a_damaged_output_is_found(own: Path, name: str) -> None:
    flip(own / name, 200)
    (fault,) = faults(own)
    assert f"{name}: expected sha256" in fault
    (own / name).unlink()
    (fault,) = faults(own)
    assert f"{name}: expected a file, found none" in fault


def test_a_damaged_record_of_a_unit_is_found(own: Path) -> None:
    flip(own / "images" / "train" / "n00000030.jsonl", 30)
    assert "n00000030.jsonl: expected sha256" in faults(own)[0]
    assert "n00000030.jsonl: expected sha256" in faults(own, deep=True)[0]


def test_a_damaged_prepared_image_is_found_by_the_deep_check_only(own: Path) -> None:
    verdict = open_prepared(own).verdicts("train/n00000030")[4]
    flip(own / "images" / "train" / "n00000030.tar", verdict.offset + 300)
    assert faults(own) == []
    (fault,) = faults(own, deep=True)
    assert f"n00000030.tar: {verdict.name}: expected sha256" in fault


def test_any_flipped_byte_of_a_prepared_tar_is_found_by_the_deep_check(own: Path) -> None:
    tar = own / "images" / "train" / "n00000030.tar"
    first, second = open_prepared(own).verdicts("train/n00000030")[:2]
    end = first.offset + first.size
    for offset, where in {
        0: f"header of {first.name}",
        300: f"header of {first.name}",
        first.offset - 1: f"header of {first.name}",
        end: f"header of {second.name}",
        second.offset - 512: f"header of {second.name}",
        tar.stat().st_size - 1: "end of the tar",
    }.items():
        flip(tar, offset)
        (fault,) = faults(own, deep=True)
        assert fault.startswith(f"{tar}: {where}: expected the bytes written there, found others; ")
        flip(tar, offset)
    assert faults(own, deep=True) == []


def test_a_prepared_tar_that_is_too_long_is_found_by_the_deep_check(own: Path) -> None:
    with (own / "images" / "val" / "00000.tar").open("ab") as stream:
        stream.write(bytes(512))
    (fault,) = faults(own, deep=True)
    assert "00000.tar: expected 20,480 bytes, found more; remove the tar and run" in fault


@pytest.mark.parametrize("name", ["a" * 150, "b\u00e4r", "cat/n_1", os.fsdecode(b"c\xff")])
def test_the_deep_check_knows_the_header_of_any_name(tmp_path: Path, name: str) -> None:
    verdicts = []
    with (tmp_path / "x.tar").open("wb") as stream:
        tar = tar_blocks.Writer(stream)
        for size in (0, 1, 512, 700):
            offset = tar.append(f"{name}{size}", b"x" * size)
            verdicts.append(Verdict(f"{name}{size}", 0, "ok", "", "", offset=offset, size=size))
        tar.close()
    content, rest = (tmp_path / "x.tar").read_bytes(), b""
    for _, start, wanted in units.between(verdicts):
        assert content[start : start + len(wanted)] == wanted
        rest += wanted
    assert len(rest) + 1213 == len(content)


@pytest.mark.parametrize("suffix", ["tar", "jsonl"])
def test_a_missing_file_of_a_unit_is_found_by_the_deep_check(own: Path, suffix: str) -> None:
    (own / "images" / "val" / f"00000.{suffix}").unlink()
    assert any(f"00000.{suffix}: expected" in fault for fault in faults(own, deep=True))


def test_a_prepared_tar_that_is_cut_off_is_found_by_the_deep_check(own: Path) -> None:
    tar = own / "images" / "train" / "n00000020.tar"
    os.truncate(tar, 5000)
    (fault,) = faults(own, deep=True)
    assert "n00000020.tar: n00000020_" in fault


def test_a_lost_image_of_the_quarantine_is_found_by_the_deep_check(own: Path) -> None:
    kept = own / "images" / "quarantine" / "val" / "DEMO_val_00000005.JPEG"
    kept.write_bytes(b"other")
    (fault,) = faults(own, deep=True)
    assert "quarantine/val/DEMO_val_00000005.JPEG: expected sha256" in fault
    kept.unlink()
    (fault,) = faults(own, deep=True)
    assert "quarantine/val/DEMO_val_00000005.JPEG: expected a file, found none" in fault


@pytest.mark.parametrize("record", ["mean.manifest.json", "shards/manifest.json"])
def test_a_stage_of_other_images_is_found(own: Path, record: str) -> None:
    fields = json.loads((own / record).read_text())
    fields["inputs"]["images"] = "0" * 64
    rewrite(own / record, fields)
    assert any(
        "expected images " in fault and "found 000000000000" in fault for fault in faults(own)
    )


def test_a_wrong_count_in_the_manifest_is_found(own: Path) -> None:
    path = own / "shards" / manifest.NAME
    fields = json.loads(path.read_text())
    fields["counts"]["test images"] = 5
    rewrite(path, fields)
    (fault,) = faults(own)
    assert "expected 5 test images, found 4" in fault


@pytest.mark.parametrize("key", ["train images", "pixels"])
def test_a_mean_image_of_fewer_images_is_found(own: Path, key: str) -> None:
    path = own / "mean.manifest.json"
    fields = json.loads(path.read_text())
    fields["counts"][key] -= 1
    rewrite(path, fields)
    (fault,) = faults(own)
    assert re.search(rf"mean.manifest.json: expected [0-9,]+ {key}, found [0-9]+; remove", fault)


def test_of_a_list_that_lost_its_end_only_the_digest_is_said(own: Path) -> None:
    path = own / "images/train/n00000030.jsonl"
    path.write_bytes(path.read_bytes()[:-700])
    (fault,) = faults(own, deep=True)
    assert "n00000030.jsonl: expected sha256" in fault


@pytest.mark.slow
def test_several_workers_report_the_same_faults_in_the_same_order(own: Path) -> None:
    for path in ("images/train/n00000020.tar", "images/val/00000.tar"):
        flip(own / path, 3000)
    for shard in sorted((own / "shards").glob("*.h5")):
        flip(shard, shard.stat().st_size // 2)
    (own / "images/train/n00000040.tar").unlink()
    alone = faults(own, deep=True)
    progress: list[int] = []
    assert list(check.check(own, True, progress.append, 3)) == alone
    assert len(alone) > 6
    assert sum(progress) < 58
