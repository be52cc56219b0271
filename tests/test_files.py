"""Atomic writes, canonical JSON, and partial files left by killed writers."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexrep import files
from alexrep.errors import DataError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, width=16),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: "Infinity" not in json.dumps(value))

WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from alexrep import files
for number in itertools.count():
    files.write_bytes(Path(sys.argv[1]), b"%07d" % (number % 9) * 100_000)
    print(number, flush=True)
"""


def started(code: str, argument: Path) -> subprocess.Popen[str]:
    """Start a Python process and wait for its first line."""
    command = [sys.executable, "-c", code, str(argument)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def write_half(part: Path, error: type[BaseException]) -> None:
    part.write_bytes(b"ne")
    raise error


def test_a_file_is_there_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    with files.whole(path) as part:
        part.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_an_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with files.whole(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_keeps_the_old_file_and_leaves_no_partial_one(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), files.whole(path) as part:
        write_half(part, error)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_that_names_no_file_gets_the_name(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    message = r"No space left on device: '.*/file'"
    with pytest.raises(OSError, match=message), files.whole(tmp_path / "file"):
        raise full


def test_a_block_that_writes_nothing_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.whole(tmp_path / "file"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_partial_name_is_the_process_own(tmp_path: Path) -> None:
    with files.whole(tmp_path / "file") as part:
        assert part.name == f"file.{os.uname().nodename}-{os.getpid()}.partial"
        part.touch()


def test_a_file_may_have_the_longest_name_there_is(tmp_path: Path) -> None:
    for name in ("x" * 255, "\u00e4" * 127):
        files.write_bytes(tmp_path / name, b"new")
    assert len(list(tmp_path.iterdir())) == 2
    assert files.partial_path(tmp_path / ("x" * 255)) != files.partial_path(tmp_path / ("y" * 255))


HOST = os.uname().nodename
SWEPT = (
    f"file.{HOST}-{2**22 + 1}.partial",
    f"below/a.b.{HOST}-{2**22 + 1}.partial",
    f"run.{HOST}-{2**22 + 1}.partial/last.pt",
    "old/file.node-1.partial",
    "old/file.node.domain-x-1234567.partial",
)
STAYING = (
    f"file.{HOST}-{os.getpid()}.partial",
    f"file.{HOST}-1.partial",
    "file.node-1.partial",
    f"left/file.{HOST}-{2**22 + 1}.partial",
    f"left/below/file.{HOST}-{2**22 + 1}.partial",
    "old/file.partial",
    "old/c.partial/file",
    "old/file.node-1.part",
    "old/run.node-1.partial/last.pt",
)
"""Partial files of live or unknown owners; `left` is excluded from the sweep."""


def test_only_partial_files_whose_process_is_gone_are_swept(tmp_path: Path) -> None:
    for name in (*SWEPT, *STAYING):
        files.make_folder((tmp_path / name).parent)
        (tmp_path / name).touch()
        if name.startswith("old"):
            os.utime(tmp_path / name, (100, 100))
    files.sweep(tmp_path, 1000, lambda folder: folder.name == "left")
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == set(STAYING)


def test_a_file_is_flushed_before_it_gets_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        flushed.append((name, (tmp_path / "file").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_bytes(tmp_path / "file", b"new")
    own = f"file.{os.uname().nodename}-{os.getpid()}.partial"
    assert flushed == [(own, False), (tmp_path.name, True)]


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    killed(started(WRITE_FOR_EVER, path))
    content = path.read_bytes()
    assert len(content) == 700_000
    assert content == content[:7] * 100_000


@settings(max_examples=20)
@given(JSON)
def test_json_text_comes_back_as_the_value(value: object) -> None:
    assert json.loads(files.to_json(value)) == value


def test_equal_values_give_equal_text() -> None:
    assert files.to_json({"b": 1, "a": [2]}) == files.to_json({"a": [2], "b": 1})
    assert files.to_json({"b": 1, "a": "\u00e4"}) == '{\n "a": "\u00e4",\n "b": 1\n}\n'


def test_a_number_that_is_not_finite_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.to_json(float("nan"))


def test_digests_are_those_of_hashlib(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_bytes(b"abc") == files.sha256_file(tmp_path / "file") == known
    assert files.sha256_bytes(memoryview(b"abc")) == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: expected a folder to write to, found File exists"):
        files.make_folder(tmp_path / "file")
    with pytest.raises(DataError, match="found Not a directory; name another folder"):
        files.make_folder(tmp_path / "file" / "below")


def test_too_little_room_is_refused_before_the_work(tmp_path: Path) -> None:
    files.require_space(tmp_path, 1)
    message = r"expected 1000000000\.0 GB free, found \d+\.\d GB; make room"
    for folder in (tmp_path, tmp_path / "not" / "yet", Path("not") / "yet"):
        with pytest.raises(DataError, match=message):
            files.require_space(folder, 10**18)
