"""Reading shards: the packed bytes, or one line that says what is wrong with them."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexrep.errors import DataError, ManifestError
from alexrep.prepare.prepared import jpegs, open_prepared
from alexrep.shards import read

Change = Callable[[h5py.File], None]


@pytest.fixture
def own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with shards that may be damaged; their outlines are not compared."""
    monkeypatch.setattr(read, "_require_outlines", lambda *_: None)
    shutil.copytree(data / "shards", tmp_path / "shards")
    return tmp_path


def shard_of(own: Path, name: str = "train-00001.h5") -> Path:
    return own / "shards" / name


def replace(dataset: str, values: object, **options: object) -> Change:
    """Return a function that replaces one dataset of a shard."""

    def change(shard: h5py.File) -> None:
        del shard[dataset]
        shard.create_dataset(dataset, data=values, **options)

    return change


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_what_was_packed_is_read(data: Path, split: str) -> None:
    images, packed = open_prepared(data), read.open_split(data, split)
    expected = {
        verdict.name.encode(): (verdict.label, content)
        for unit in images.units(split)
        for verdict, content in jpegs(images, unit)
    }
    assert len(packed) == len(expected)
    for index in range(len(packed)):
        label, content = expected.pop(packed.names[index])
        assert (packed.labels[index], packed.read(index)) == (label, content)
    assert not expected
    packed.close()


def test_a_shard_that_another_program_has_locked_is_read(own: Path) -> None:
    """HDF5 would lock the file by flock, and fail on file systems without it."""
    with shard_of(own).open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert len(read.open_shard(shard_of(own)))


def test_a_split_knows_its_side_its_classes_and_its_quarantine(data: Path) -> None:
    train, val = (read.open_split(data, split) for split in ("train", "val"))
    assert (train.side, train.num_quarantined, val.num_quarantined) == (72, 0, 1)
    assert train.classes == open_prepared(data).classes
    assert (train.labels.dtype, train.labels.shape) == (np.dtype(np.int64), (18,))
    assert [len(shard) for shard in train.shards] == [8, 8, 2]
    train.close()
    val.close()


def test_names_can_be_kept_with_numpy(data: Path, tmp_path: Path) -> None:
    split = read.open_split(data, "val")
    split.close()
    np.savez(tmp_path / "names.npz", names=split.names)
    with np.load(tmp_path / "names.npz") as arrays:
        assert arrays["names"].tolist() == [
            f"DEMO_val_{number:08d}.JPEG".encode() for number in (1, 2, 3, 4, 6, 7, 8)
        ]


def test_images_are_read_at_their_place_in_the_file(data: Path) -> None:
    path = data / "shards" / "train-00001.h5"
    shard, raw = read.open_shard(path), path.read_bytes()
    for row in range(len(shard)):
        start, end = (int(shard.start + offset) for offset in shard.offsets[row : row + 2])
        assert raw[start : start + 3] == b"\xff\xd8\xff"
        assert raw[end - 2 : end] == b"\xff\xd9"


@pytest.mark.parametrize("index", [18, 1000, -1])
def test_an_index_beyond_the_split_is_an_error(data: Path, index: int) -> None:
    split = read.open_split(data, "train")
    with pytest.raises(IndexError, match=rf"index: expected 0 to 17, found {index}"):
        split.read(index)
    split.close()


def test_a_closed_split_reads_no_more_and_may_be_closed_again(data: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    split = read.open_split(data, "train")
    assert len(os.listdir("/proc/self/fd")) == before + 3
    split.close()
    split.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_without_shards_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match="expected a finished pack, found no manifest; run alexr"
    ):
        read.open_split(tmp_path, "train")


def test_an_unknown_split_names_those_that_are_there(data: Path) -> None:
    message = "expected shards of dev, found test, train, val; choose one of these"
    with pytest.raises(ManifestError, match=message):
        read.open_split(data, "dev")


def test_a_missing_shard_is_named(own: Path) -> None:
    shard_of(own).unlink()
    with pytest.raises(DataError, match=r"train-00001\.h5: expected a shard, found no file; pack"):
        read.open_split(own, "train")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" * 99])
def test_a_file_that_is_no_shard_is_one_line(own: Path, content: bytes) -> None:
    shard_of(own).write_bytes(content)
    with pytest.raises(DataError, match=r"^[^\n]*train-00001\.h5: expected a shard, found [^\n]*$"):
        read.open_split(own, "train")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_shard_that_is_cut_off_is_one_line(own: Path, share: float) -> None:
    path = shard_of(own)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(
        DataError, match=r"train-00001\.h5: expected a shard, found .*; remove it and pack"
    ):
        read.open_split(own, "train")


OFFSETS = [0, 10, 20, 30, 40, 50, 60, 70, 80]


@pytest.mark.parametrize(
    "change",
    [
        replace("offsets", np.array(OFFSETS)),
        replace("offsets", np.array([5, *OFFSETS[1:]])),
        replace("offsets", np.array([0, 20, 10, *OFFSETS[3:]])),
        replace("offsets", np.array([0, -5, *OFFSETS[2:]])),
        replace("offsets", np.array([0, 10, 10, *OFFSETS[3:]])),
        replace("offsets", np.array(OFFSETS[:-1])),
        replace("offsets", np.array([OFFSETS, OFFSETS])),
        replace("offsets", np.array(OFFSETS, np.float64)),
        replace("offsets", 5),
        replace("offsets", np.array([], np.int64)),
        replace("labels", np.zeros(7, np.int32)),
        replace("labels", np.zeros((8, 2), np.int32)),
        replace("labels", np.zeros(8, np.float32)),
        replace("names", np.array([b"a"] * 9)),
        replace("names", np.arange(8)),
        replace("crc32", np.zeros(1, np.uint32)),
        replace("jpeg", np.zeros(80, np.uint8)),
        replace("jpeg", np.zeros((4, 20), np.uint8)),
        replace("jpeg", np.zeros(80, np.float32)),
        replace("jpeg", np.zeros(80, np.uint8), chunks=(10,), compression="gzip"),
        lambda shard: shard.__delitem__("crc32"),
        lambda shard: (shard.__delitem__("jpeg"), shard.create_group("jpeg")),
        lambda shard: shard.attrs.__delitem__("side"),
        lambda shard: shard.attrs.__setitem__("side", "wide"),
        lambda shard: shard.attrs.__setitem__("format", 2),
    ],
)
def test_a_shard_whose_index_lies_is_refused(own: Path, change: Change) -> None:
    with h5py.File(shard_of(own), "r+") as shard:
        change(shard)
    with pytest.raises(
        DataError, match=r"train-00001\.h5: expected .*, found .*; remove it and pack"
    ):
        read.open_split(own, "train")


@pytest.mark.parametrize(
    ("index", "value"), [(0, 1), (3, 0), (3, -1), (3, 2**62), (8, 0), (8, -5), (8, 10**6)]
)
def test_one_offset_that_lies_is_enough(own: Path, index: int, value: int) -> None:
    with h5py.File(shard_of(own), "r+") as shard:
        shard["offsets"][index] = value
    message = (
        r"train-00001\.h5: expected offsets that rise to the end, found others; remove it and pack"
    )
    with pytest.raises(DataError, match=message):
        read.open_split(own, "train")


def test_images_stored_in_chunks_are_refused_even_if_whole(own: Path) -> None:
    with h5py.File(shard_of(own), "r+") as shard:
        replace("jpeg", shard["jpeg"][:], chunks=(1000,))(shard)
    with pytest.raises(
        DataError,
        match="expected a shard, found jpeg that is not in one piece; remove it and pack",
    ):
        read.open_split(own, "train")


@pytest.mark.parametrize("attribute", ["classes", "split"])
def test_a_shard_of_other_data_is_refused(own: Path, attribute: str) -> None:
    with h5py.File(shard_of(own), "r+") as shard:
        shard.attrs[attribute] = "other"
    message = (
        r"train-00001\.h5: expected a shard of train, found \w+ of another class table; remove it"
    )
    with pytest.raises(DataError, match=message):
        read.open_split(own, "train")


@pytest.mark.parametrize(
    ("name", "label"),
    [("train-00001", 3), ("train-00001", -1), ("val-00000", -1), ("test-00000", -2)],
)
def test_a_label_of_no_class_is_refused_with_image_and_shard(
    own: Path, name: str, label: int
) -> None:
    with h5py.File(shard_of(own, f"{name}.h5"), "r+") as shard:
        shard["labels"][2] = label
        image = shard["names"][2].decode()
    message = (
        rf"{name}\.h5: image 2, {image}: expected a label from 0 to 2, found {label}; remove /"
    )
    with pytest.raises(DataError, match=message):
        read.open_split(own, name.split("-", maxsplit=1)[0])


def test_a_test_split_without_labels_is_opened(own: Path) -> None:
    with h5py.File(shard_of(own, "test-00000.h5"), "r+") as shard:
        shard["labels"][:] = -1
    assert read.open_split(own, "test").labels.tolist() == [-1] * 4


def test_shards_of_another_side_do_not_mix(own: Path) -> None:
    with h5py.File(shard_of(own), "r+") as shard:
        shard.attrs["side"] = 80
    message = r"train-00001\.h5: expected jpeg, side 72, found jpeg, side 80; remove it and pack"
    with pytest.raises(DataError, match=message):
        read.open_split(own, "train")


@settings(max_examples=25)
@given(st.integers(0, 7), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_flipped_bit_is_named_with_image_and_shard(
    data: Path, tmp_path_factory: pytest.TempPathFactory, row: int, share: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "train-00001.h5"
    shutil.copyfile(data / "shards" / path.name, path)
    shard = read.open_shard(path)
    start, end = (int(offset) for offset in shard.offsets[row : row + 2])
    content = bytearray(path.read_bytes())
    content[shard.start + start + int(share * (end - start))] ^= 1 << bit
    path.write_bytes(content)
    split = read.Split([shard], 0, open_prepared(data).classes)
    name = shard.names[row].decode()
    message = (
        rf"train-00001\.h5: image {row}, {name}: expected {end - start} bytes as packed, found"
    )
    for index in range(len(shard)):
        if index == row:
            with pytest.raises(DataError, match=message):
                split.read(index)
        else:
            split.read(index)
    split.close()


def test_a_shard_cut_under_the_reader_is_one_line_not_a_crash(own: Path) -> None:
    split = read.open_split(own, "train")
    shard = split.shards[1]
    os.truncate(shard.path, shard.start + int(shard.offsets[5]) + 10)
    assert len(split.read(8 + 4)) > 0
    for index in (13, 14):
        with pytest.raises(DataError, match=rf"train-00001\.h5: image {index - 8}, n.*: expected"):
            split.read(index)
    split.close()


def test_a_shard_removed_under_the_reader_is_still_read(own: Path) -> None:
    split = read.open_split(own, "train")
    shutil.rmtree(own / "shards")
    assert all(split.read(index) for index in range(18))
    split.close()
