"""Packing: every prepared image in exactly one shard, in the order given by the seed."""

import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from alexrep import files, keyed, manifest
from alexrep.errors import DataError, ManifestError
from alexrep.manifest import Manifest
from alexrep.prepare.prepared import jpegs, open_prepared
from alexrep.shards import image_bytes, read, write
from alexrep.shards.image_bytes import ImageBytes, Tars
from alexrep.shards.listing import Images

Pack = Callable[..., Path]
Encode = Callable[..., bytes]
Draw = Callable[..., NDArray[np.uint8]]

SPLITS = ("train", "val", "test")

KILLED = """
import os, signal, sys
from pathlib import Path
from alexrep import manifest
from alexrep.prepare.prepared import open_prepared
from alexrep.shards import image_bytes, write

read, left = image_bytes._read, [int(sys.argv[2])]

def die_after(*wanted):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    read(*wanted)

image_bytes._read = die_after
data = Path(sys.argv[1])
images, shards = open_prepared(data), data / "shards"
plan = write.make_plan(images, 1, 8)
manifest.begin(plan, shards / manifest.NAME, shards / "plan.json")
write.run(images, shards, plan, 1, lambda num: None)
"""


def digests(data: Path) -> dict[str, str]:
    return {path.name: files.sha256_file(path) for path in (data / "shards").iterdir()}


def record(data: Path) -> Manifest:
    return manifest.read(data / "shards" / manifest.NAME, "pack")


def packed(data: Path, split: str) -> list[tuple[bytes, int, bytes]]:
    """Return name, label and JPEG of each image, in the order of the shards."""
    rows = []
    for path in sorted((data / "shards").glob(f"{split}-*.h5")):
        with h5py.File(path) as shard:
            offsets, jpeg = shard["offsets"][:], shard["jpeg"][:]
            for row, (name, label) in enumerate(
                zip(shard["names"][:], shard["labels"][:], strict=True)
            ):
                rows.append((name, int(label), jpeg[offsets[row] : offsets[row + 1]].tobytes()))
    return rows


def prepared(data: Path, split: str) -> list[tuple[bytes, int, bytes]]:
    images = open_prepared(data)
    units = images.units(split)
    return [(v.name.encode(), v.label, c) for unit in units for v, c in jpegs(images, unit)]


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a data folder with prepared images only."""
    shutil.copytree(data / "images", tmp_path / "data" / "images")
    return tmp_path / "data"


@pytest.mark.parametrize("split", SPLITS)
def test_every_image_is_packed_once_with_its_label_and_bytes(data: Path, split: str) -> None:
    assert sorted(packed(data, split)) == sorted(prepared(data, split))


@pytest.mark.parametrize("split", ["val", "test"])
def test_val_and_test_are_in_the_order_of_file_names(data: Path, split: str) -> None:
    names = [name for name, _, _ in packed(data, split)]
    assert names == sorted(names)


def test_train_is_shuffled_by_the_seed(own: Path, data: Path, pack: Pack) -> None:
    names = [name for name, _, _ in packed(data, "train")]
    others = [name for name, _, _ in packed(pack(own, seed=2), "train")]
    assert len({tuple(names), tuple(others), tuple(sorted(names))}) == 3
    assert sorted(others) == sorted(names)
    unshuffled = [name for name, _, _ in prepared(data, "train")]
    assert names == [unshuffled[index] for index in keyed.permutation(18, 1)]


def test_the_seed_does_not_touch_val(own: Path, data: Path, pack: Pack) -> None:
    assert packed(pack(own, seed=2), "val") == packed(data, "val")


@pytest.mark.parametrize(
    ("shard_images", "sizes"),
    [(8, [8, 8, 2]), (6, [6, 6, 6]), (5, [5, 5, 5, 3]), (18, [18]), (99, [18])],
)
def test_shards_are_full_but_the_last(
    own: Path, data: Path, pack: Pack, shard_images: int, sizes: list[int]
) -> None:
    shards = sorted((pack(own, shard_images=shard_images) / "shards").glob("train-*.h5"))
    assert [path.name for path in shards] == [f"train-{k:05d}.h5" for k in range(len(sizes))]
    counts = []
    for path in shards:
        with h5py.File(path) as shard:
            counts.append(len(shard["labels"]))
    assert counts == sizes
    assert packed(own, "train") == packed(data, "train")


def test_five_lines_of_plain_h5py_read_an_image(data: Path) -> None:
    import io

    from PIL import Image

    with h5py.File(data / "shards" / "train-00000.h5") as shard:
        start, end = shard["offsets"][3:5]
        image = Image.open(io.BytesIO(shard["jpeg"][start:end].tobytes()))
        label, name = shard["labels"][3], shard["names"][3].decode()
    assert image.size == (72, 72)
    wnids = [synset.wnid for synset in open_prepared(data).classes.synsets]
    assert name.startswith(wnids[label])


def test_datasets_are_contiguous_unfiltered_and_of_the_stated_types(data: Path) -> None:
    kinds = {"jpeg": "u1", "offsets": "i8", "labels": "i4", "names": "S", "crc32": "u4"}
    with h5py.File(data / "shards" / "train-00000.h5") as shard:
        assert set(shard) == set(kinds)
        for name, kind in kinds.items():
            assert (shard[name].chunks, shard[name].compression) == (None, None)
            assert shard[name].dtype.str.lstrip("<|").startswith(kind)


def test_attributes_name_the_origin(data: Path) -> None:
    images = open_prepared(data)
    with h5py.File(data / "shards" / "val-00000.h5") as shard:
        assert dict(shard.attrs) == {
            "format": 1,
            "encoding": "jpeg",
            "edition": "demo",
            "split": "val",
            "side": 72,
            "num_classes": 3,
            "classes": images.classes.digest(),
            "images": images.digest,
            "seed": 1,
        }


def test_the_manifest_counts_and_names_the_shards(data: Path) -> None:
    assert record(data).counts == {
        "train images": 18,
        "train quarantined": 0,
        "val images": 7,
        "val quarantined": 1,
        "test images": 4,
        "test quarantined": 0,
    }
    shards = [f"train-0000{k}.h5" for k in range(3)] + ["val-00000.h5", "test-00000.h5"]
    outputs = record(data).outputs
    assert set(outputs) == {*shards, "classes.json"}
    assert all(files.sha256_file(data / "shards" / name) == outputs[name] for name in outputs)
    assert record(data).inputs == {"images": open_prepared(data).digest}
    assert (record(data).seed, record(data).settings["shard images"]) == (1, 8)


def test_two_workers_make_the_same_bytes(own: Path, data: Path, pack: Pack) -> None:
    assert digests(pack(own, workers=2)) == digests(data)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_disk_slower_than_the_reading_gets_the_same_bytes(
    own: Path, data: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    put = write._put

    def put_late(*given: Any) -> None:
        time.sleep(0.01)
        put(*given)

    monkeypatch.setattr(write, "_put", put_late)
    monkeypatch.setattr(image_bytes, "BUFFER", 1)  # a piece an image
    assert digests(pack(own, workers=workers)) == digests(data)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [DataError("gone"), KeyboardInterrupt()])
def test_the_other_shards_are_left_in_the_midst_when_nobody_waits_for_them(
    own: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    others: list[int] = []
    read_one = image_bytes._read

    def fail_or_wait(images: Images, row: int, *rest: Any) -> None:
        if b"val" in images.name[row]:
            raise fault
        others.append(row)
        time.sleep(1)  # the fault happens meanwhile, even on a busy machine
        read_one(images, row, *rest)

    monkeypatch.setattr(image_bytes, "_read", fail_or_wait)
    monkeypatch.setattr(image_bytes, "BUFFER", 1)
    with pytest.raises(type(fault)):
        pack(own, workers=3)
    assert len(others) < 12  # of 18
    left = {path.name for path in (own / "shards").iterdir()}
    assert left == {"plan.json", "train-00002.h5"}  # of two images, finished before the fault


@pytest.mark.parametrize("name", ["train-00001.h5", "val-00000.h5", "classes.json"])
def test_a_restart_writes_only_what_is_missing(
    own: Path, data: Path, pack: Pack, name: str
) -> None:
    shutil.copytree(data / "shards", own / "shards")
    for missing in (name, manifest.NAME):
        (own / "shards" / missing).unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (own / "shards").glob("*.h5")}
    pack(own)
    assert digests(own) == digests(data)
    after = {path.name: path.stat().st_mtime_ns for path in (own / "shards").glob("*.h5")}
    assert {path for path in after if after[path] != before.get(path)} <= {name}


@pytest.mark.parametrize("num_images", [0, 5, 19, 28])
def test_a_killed_run_goes_on_to_the_same_bytes(
    own: Path, data: Path, pack: Pack, num_images: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(own), str(num_images)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (own / "shards" / manifest.NAME).exists()
    pack(own)
    assert digests(own) == digests(data)


def test_a_second_run_does_nothing(own: Path, pack: Pack) -> None:
    before = {path: path.stat().st_mtime_ns for path in (pack(own) / "shards").iterdir()}
    pack(own)
    assert before == {path: path.stat().st_mtime_ns for path in (own / "shards").iterdir()}


def test_other_settings_are_refused_by_name(data: Path, pack: Pack) -> None:
    with pytest.raises(ManifestError, match="expected seed = 2, found 1"):
        pack(data, seed=2)
    with pytest.raises(ManifestError, match=r"expected settings\.shard images = 9, found 8"):
        pack(data, shard_images=9)


def test_progress_counts_every_image(own: Path, data: Path) -> None:
    images, plan = open_prepared(own), write.make_plan(open_prepared(own), 1, 8)
    for new, old in ([2, 4, 7, 8, 8], []), ([8], [2, 4, 7, 8]):
        progress, before = list[int](), list[int]()
        write.run(images, own / "shards", plan, 1, progress.append, before.append)
        assert (sorted(progress), sorted(before)) == (new, old)
        (own / "shards" / "train-00000.h5").unlink()


def test_a_buffer_smaller_than_the_shard_changes_nothing(
    own: Path, data: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_bytes, "BUFFER", 5000)
    assert digests(pack(own)) == digests(data)


@pytest.mark.parametrize("buffer", [1, 5000, 1 << 24])
def test_raw_shards_hold_the_decoded_pixels_in_the_same_order(
    own: Path, data: Path, pack: Pack, buffer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_bytes, "BUFFER", buffer)
    encoded = read.open_split(data, "train")
    raw = read.open_split(pack(own, encoding="raw"), "train")
    assert raw.names.tolist() == encoded.names.tolist()
    for index in range(len(encoded)):
        pixels = simplejpeg.decode_jpeg(encoded.read(index), "RGB")
        assert raw.read(index) == pixels.tobytes()


def test_a_raw_shard_is_read_by_plain_h5py(own: Path, pack: Pack) -> None:
    with h5py.File(pack(own, encoding="raw") / "shards" / "val-00000.h5") as shard:
        assert shard.attrs["encoding"] == "raw"
        assert shard["pixels"].shape == (7, 72, 72, 3)
        assert "jpeg" not in shard
        assert "offsets" not in shard


def lone(tar: Path, jpeg: bytes) -> Images:
    """Return a listing of one image at the start of the file."""
    tar.write_bytes(jpeg)
    size, label = np.array([len(jpeg)]), np.zeros(1, np.int32)
    return Images(
        [tar],
        label,
        np.zeros(1, np.int64),
        size,
        label,
        np.array([b"n1_1.JPEG"]),
        np.zeros(1, np.uint32),
    )


@pytest.mark.parametrize("side", [64, 80])
def test_a_jpeg_of_another_side_does_not_become_raw(
    tmp_path: Path, encoded: Encode, picture: Draw, side: int
) -> None:
    images = lone(tmp_path / "a.tar", encoded(picture(side, side)))
    message = r"a\.tar: n1_1\.JPEG: expected a JPEG of 72 pixels each way, found .*; remove the tar"
    with pytest.raises(DataError, match=message):
        next(ImageBytes(images, 72, "raw", Tars()).pieces())


def test_a_jpeg_of_the_side_becomes_raw(tmp_path: Path, encoded: Encode, picture: Draw) -> None:
    images = lone(tmp_path / "a.tar", encoded(picture(72, 72)))
    assert next(ImageBytes(images, 72, "raw", Tars()).pieces()).nbytes == 72 * 72 * 3


def test_a_prepared_tar_that_was_cut_is_named_and_leaves_no_shard(own: Path, pack: Pack) -> None:
    tar = own / "images" / "val" / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:6000])
    message = (
        r"00000\.tar: DEMO_val_0000000\d\.JPEG: expected \d+ bytes, found \d+ bytes; remove the tar"
    )
    with pytest.raises(DataError, match=message):
        pack(own)
    assert not list((own / "shards").glob("val*"))


def test_a_list_of_prepared_images_that_changed_is_refused(own: Path, pack: Pack) -> None:
    path = own / "images/val/00000.jsonl"
    path.write_text(path.read_text().replace('"label": 0', '"label": 1', 1))
    with pytest.raises(DataError, match=r"00000\.jsonl: expected sha256 .*, found another; remove"):
        pack(own)
    assert not list((own / "shards").glob("*.h5"))


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
@pytest.mark.parametrize("offset", [0, -1])
def test_a_prepared_image_that_changed_is_named_and_leaves_no_shard(
    own: Path, pack: Pack, encoding: str, offset: int
) -> None:
    verdict, tar = open_prepared(own).verdicts("val/00000")[offset], own / "images/val/00000.tar"
    raw = bytearray(tar.read_bytes())
    raw[verdict.offset + verdict.size // 2] ^= 1
    tar.write_bytes(raw)
    message = rf"00000\.tar: {verdict.name}: expected crc32 {verdict.crc32:08x}, found .*; remove"
    with pytest.raises(DataError, match=message):
        pack(own, encoding=encoding)
    assert not list((own / "shards").glob("val*"))


def test_every_prepared_image_has_its_crc32_recorded(data: Path) -> None:
    images = open_prepared(data)
    units = [unit for split in SPLITS for unit in images.units(split)]
    pairs = [pair for unit in units for pair in jpegs(images, unit)]
    assert all(verdict.crc32 == zlib.crc32(content) for verdict, content in pairs)


@pytest.mark.parametrize("suffix", ["tar", "jsonl"])
def test_a_missing_file_of_a_unit_is_one_line(own: Path, pack: Pack, suffix: str) -> None:
    (own / "images" / "val" / f"00000.{suffix}").unlink()
    with pytest.raises(DataError, match=rf"00000\.{suffix}: expected .*, found no file; run prepr"):
        pack(own)


def test_a_tar_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        Tars().read(tmp_path, np.empty(8, np.uint8), 0)
    assert caught.value.filename == str(tmp_path)


def test_too_little_room_is_told_before_the_work(
    own: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match="make room or name another folder"):
        pack(own)
    assert not list((own / "shards").glob("*.h5"))
