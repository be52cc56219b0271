"""Errors of the system are one line that names file and resource, and blame no data."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alexrep import files, pool, system
from alexrep.config import recipes
from alexrep.errors import AlexrepError
from alexrep.evaluation import feature_file, submission
from alexrep.ilsvrc import archives, class_lists, folders, group_file, label_lists, streams, zips
from alexrep.prepare import units
from alexrep.prepare.prepared import jpegs, open_prepared
from alexrep.runs import log
from alexrep.shards import read
from alexrep.stages.cli import system_errors
from alexrep.stages.cli.shell import explain


def failing(number: int) -> Callable[..., bytes]:
    def fail(*_: object, **__: object) -> bytes:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_failing_disk_is_told_and_no_file_is_called_damaged() -> None:
    for number in system.FAILING:
        line = str(explain(OSError(number, os.strerror(number), "a.tar")))
        assert line.startswith("a.tar: expected a disk that can be read and written, found '")
        assert line.endswith(
            "; look at the disk (dmesg), then start again; no file is known to be damaged"
        )


@pytest.mark.parametrize("number", system.ENVIRONMENT)
def test_an_error_without_a_file_is_one_line_too(number: int) -> None:
    assert ": expected " in str(explain(OSError(number, os.strerror(number))))


def test_a_lack_of_memory_is_one_line() -> None:
    for error in (MemoryError(), ImportError("libtorch_cpu.so: failed to map segment")):
        assert "memory: expected enough for this command" in str(explain(error))
    assert explain(ImportError("no module named x")) is None


CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.2 GiB of "
    "which 1.00 MiB is free. See documentation for Memory Management"
)
CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4503599627370496 bytes. Error code 12 (Cannot allocate memory)"
)
MPS = (
    "MPS backend out of memory (MPS allocated: 9 GB, max allowed: 9 GB). Tried to allocate 64.00 MB"
)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (CUDA, "none left on the GPU for 20.00 MiB more"),
        (CPU, "none left on the machine for 4503599627370496 bytes more"),
        (MPS, "none left on the GPU for 64.00 MB more"),
        ("CUDA error: out of memory", "none left on the GPU"),
    ],
)
def test_a_lack_of_memory_for_tensors_names_the_work(said: str, found: str) -> None:
    work = "batches of 128 images (feed.batch_size 128, compute.accumulate 1) with 2 workers on cpu"
    with pytest.raises(AlexrepError) as caught, system_errors.memory_for(work, "lower it"):
        raise RuntimeError(said)
    assert str(caught.value) == f"memory: expected enough for {work}, found {found}; lower it"
    assert found in str(explain(RuntimeError(said)))


def test_other_errors_of_torch_keep_their_traceback() -> None:
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    with pytest.raises(RuntimeError, match="shapes"), system_errors.memory_for("work", "less"):
        raise RuntimeError("shapes")


def test_what_torch_says_of_memory_today_is_understood() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert str(1 << 60) in str(system_errors.shortage(caught.value))


def test_a_reader_of_images_names_the_tar(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = open_prepared(data)
    monkeypatch.setattr(os, "pread", failing(errno.EIO))
    with pytest.raises(OSError, match=r"n00000030\.tar"):
        list(jpegs(images, "train/n00000030"))
    split = read.open_split(data, "val")
    with pytest.raises(OSError, match=r"val-00000\.h5"):
        split.read(0)
    split.close()


def test_a_reader_of_lists_names_the_list(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", failing(errno.EIO))
    with pytest.raises(OSError, match=r"n00000030\.jsonl"):
        list(units.read_verdicts(data / "images/train/n00000030.jsonl"))


def test_a_log_that_cannot_be_flushed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = log.Log(tmp_path / "log.jsonl")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match=r"log\.jsonl"):
        opened.tell()
    opened.close()


@pytest.mark.parametrize("number", files.UNFLUSHED)
def test_a_disk_that_flushes_files_only_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    flush = os.fsync

    def of_files(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            failing(number)()
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", of_files)
    files.write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(OSError, match="a"):
        files.write_bytes(tmp_path / "a", b"y")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_without_shared_memory_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from multiprocessing import context

    monkeypatch.setattr(context.BaseContext, "Lock", failing(errno.EROFS))
    with pytest.raises(AlexrepError, match=r"/dev/shm: expected room for the locks .*--workers 1"):
        list(pool.run(str, [1, 2], 2, str))
    assert list(pool.run(str, [1, 2], 1, str)) == [(1, "1"), (2, "2")]


def test_a_soft_limit_on_open_files_is_raised() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        assert system.allow_open_files(100) == 100
        assert system.allow_open_files(50) == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_sums_on_a_failing_disk_are_not_called_damaged(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alexrep.pixels.moments import Moments

    path = tmp_path / "a.npz"
    Moments.zero(4).save(path)
    monkeypatch.setattr("numpy.load", failing(errno.EIO))
    with pytest.raises(OSError, match=r"a\.npz"):
        Moments.load(path)
    shutil.rmtree(tmp_path)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "recipe": ("pathlib.Path.read_text", lambda path: recipes.load(f"{path}.toml")),
    "features": ("h5py.File", feature_file.open_features),
    "submission": ("pathlib.Path.read_text", lambda path: submission.read(path, 5)),
    "groups": ("pathlib.Path.read_text", group_file.read),
    "classes": ("pathlib.Path.read_bytes", class_lists.read),
    "labels": ("pathlib.Path.read_bytes", label_lists.read),
    "class folders": ("os.scandir", folders.scan),
    "zip": ("zipfile.ZipFile", zips.members),
    "tar": ("tarfile.open", archives.members),
    "tar.gz": ("gzip.open", lambda path: list(streams.images(path))),
}


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOLCK, errno.ENOSPC, errno.ESTALE])
@pytest.mark.parametrize("kind", READERS)
def test_a_reader_on_a_failing_disk_calls_nothing_damaged(
    kind: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, read_it = READERS[kind]
    path = tmp_path / "asked"
    for name in path, path.with_suffix(".toml"):
        name.write_bytes(b"x")
    monkeypatch.setattr(function, failing(number))
    with pytest.raises(OSError, match=r"/asked") as met:
        read_it(path)
    assert met.value.errno == number
    assert os.strerror(number) in str(explain(met.value)) or number == errno.ENOSPC


def test_a_log_that_cannot_be_written_is_named_also_when_it_is_closed(tmp_path: Path) -> None:
    opened = log.Log(tmp_path / "log.jsonl")
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), opened._stream.fileno())
    with pytest.raises(OSError, match=r"log\.jsonl"):
        opened.append({"kind": "step"})
    with pytest.raises(OSError, match=r"log\.jsonl"):
        opened.close()
