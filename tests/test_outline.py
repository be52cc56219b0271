"""Outlines of shards: a damaged one is named before HDF5 opens the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from alexrep import files, guarded, manifest, seal
from alexrep.errors import DataError
from alexrep.shards import check, outline, read
from alexrep.shards.read import Shard

Change = Callable[[h5py.File], None]


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the data folder that the test may damage."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def forget(own: Path) -> None:
    """Let the manifest of pack be one of before, without outlines."""
    path = own / "shards" / manifest.NAME
    fields = json.loads(path.read_text())
    del fields["details"][outline.KEY]
    files.write_json(path, fields)
    seal.path_of(path).unlink()


def zero(path: Path, start: int, size: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(bytes(size))


def test_the_outline_of_every_shard_is_recorded(data: Path) -> None:
    record = manifest.read(data / "shards" / manifest.NAME, "pack")
    for name in set(record.outputs) - {"classes.json"}:
        shard, recorded = read.open_shard(data / "shards" / name), outline.of_manifest(record, name)
        assert recorded is not None
        assert (recorded.start, recorded.end - recorded.start) == (shard.start, shard.offsets[-1])
        assert outline.of_file(shard.path, recorded.start, recorded.end) == recorded


@pytest.mark.parametrize("at", [40, -900])
def test_a_zeroed_piece_is_named_before_hdf5_opens_the_file(
    own: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = own / "shards/train-00001.h5"
    zero(path, at % path.stat().st_size, 64)

    def opened(path: Path) -> Shard:
        raise AssertionError(path)

    monkeypatch.setattr(read, "open_shard", opened)
    wanted = r"train-00001\.h5: expected a shard, with an outline of sha256 .*, found another; rem"
    with pytest.raises(DataError, match=wanted):
        read.open_split(own, "train")


def test_a_shard_without_a_digest_is_tried_in_a_process_of_its_own(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(own)
    tried = []

    def fault(function: str, *paths: str) -> str | None:
        tried.append((function, *(Path(path).name for path in paths)))
        return "bytes on which its reader crashes" if "train-00001" in "".join(paths) else None

    monkeypatch.setattr(guarded, "fault", fault)
    with pytest.raises(DataError, match=r"train-00001\.h5: expected a shard, found bytes on which"):
        read.open_split(own, "train")
    names = [f"train-0000{number}.h5" for number in range(3)]
    reader = "alexrep.shards.read:try_open"
    assert tried == [(reader, *names), (reader, names[0]), (reader, names[1])]
    assert len(read.open_split(own, "val")) == 7


def test_shards_of_before_are_sound_to_verify(own: Path) -> None:
    forget(own)
    assert list(check.check(own, False, lambda num: None)) == []
    assert check.unsealed_outputs(own) == ["shards/manifest.json"]


def as_link(shard: h5py.File) -> None:
    with h5py.File(f"{shard.filename}.other", "w") as other:
        other["labels"] = shard["labels"][:]
    del shard["labels"]
    shard["labels"] = h5py.ExternalLink(f"{shard.filename}.other", "labels")


def as_loop(shard: h5py.File) -> None:
    del shard["labels"]
    shard["labels"] = h5py.SoftLink("/labels")


def as_virtual(shard: h5py.File) -> None:
    layout = h5py.VirtualLayout(shard["labels"].shape, "i4")
    layout[:] = h5py.VirtualSource(shard.filename, "crc32", shard["labels"].shape)
    del shard["labels"]
    shard.create_virtual_dataset("labels", layout)


def as_external(shard: h5py.File) -> None:
    values = shard["labels"][:]
    del shard["labels"]
    place = (f"{shard.filename}.raw", 0, h5py.h5f.UNLIMITED)
    shard.create_dataset("labels", data=values, external=[place])


def as_huge(shard: h5py.File) -> None:
    del shard["labels"]
    shape, chunks = (10**12,), (1 << 20,)
    shard.create_dataset("labels", shape=shape, dtype="i4", chunks=chunks, compression="gzip")


def as_objects(shard: h5py.File) -> None:
    del shard["crc32"]
    shard["crc32"] = np.array(["a"] * 8, dtype=object)


@pytest.mark.parametrize("change", [as_link, as_loop, as_virtual, as_external, as_huge, as_objects])
def test_columns_that_do_not_lie_in_the_shard_are_refused(own: Path, change: Change) -> None:
    path = own / "shards/train-00001.h5"
    with h5py.File(path, "r+") as shard:
        change(shard)
    with pytest.raises(
        DataError, match=r"train-00001\.h5: expected a shard, found (labels|crc32) "
    ):
        read.open_shard(path)
