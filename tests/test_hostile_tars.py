"""Tars made to exhaust memory: very many members, huge ones, one repeated without end."""

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alexrep.stages import app

LINE = re.compile(r"alexrep: [^\n]+: expected [^\n]+, found [^\n]+; [^\n]+\n")
"""The whole text of an expected error."""

MEASURED = """
import json, os, subprocess, sys, time
start = time.perf_counter()
with open(sys.argv[1], "w") as said:
    process = subprocess.Popen(sys.argv[2:], stdout=said, stderr=said)
    _, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss / 1024]))
"""
"""An intermediate process, as a parent's peak memory counts for the child it forks."""


def headers(names: Iterator[str]) -> Iterator[bytes]:
    """Yield the headers of empty members."""
    plain = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    for name in names:
        block = bytearray(plain)
        block[: len(name)] = name.encode()
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        yield bytes(block)


def write(path: Path, blocks: Iterator[bytes]) -> Path:
    """Write a tar block by block; return its path."""
    with path.open("wb") as stream:
        for block in blocks:
            stream.write(block)
        stream.write(bytes(2 * tarfile.BLOCKSIZE))
    return path


def val_names(num: int) -> Iterator[str]:
    return (f"DEMO_val_{number:08d}.JPEG" for number in range(1, num + 1))


def words(raw: Path, data: Path) -> list[str]:
    return ["-q", "preprocess", str(raw), str(data), "--partial", "--side", "72", "--workers", "1"]


def preprocess(raw: Path, data: Path) -> Result:
    return CliRunner().invoke(app, words(raw, data), prog_name="alexrep")


def refused(result: Result) -> str:
    """Return the error line of a failed command, without the lines of --partial."""
    assert result.exit_code == 1, result.output
    line = "".join(
        text for text in result.stderr.splitlines(True) if not text.endswith("accepted\n")
    )
    assert LINE.fullmatch(line), result.stderr
    return line


@pytest.fixture
def own(make_raw: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a raw edition of its own, with one val archive to be replaced."""
    return make_raw(tmp_path / "raw")


def test_very_many_empty_members_are_refused(own: Path, tmp_path: Path) -> None:
    write(own / "DEMO_img_val.tar", headers(val_names(2000)))
    assert "the lines of ground truth, found DEMO_val_" in refused(preprocess(own, tmp_path / "d"))


def test_one_member_again_and_again_is_refused(own: Path, tmp_path: Path) -> None:
    again = headers("DEMO_val_00000001.JPEG" for _ in range(2000))
    write(own / "DEMO_img_val.tar", again)
    line = refused(preprocess(own, tmp_path / "d"))
    assert "expected each image once, found DEMO_val_00000001.JPEG" in line
    assert line.endswith(" and 1996 more; download it again\n")


def test_one_member_again_and_again_in_a_synset_is_refused(
    own: Path, make_tar: Callable[..., bytes], tmp_path: Path
) -> None:
    again = headers("n00000030_1.JPEG" for _ in range(500))
    inner = write(tmp_path / "inner.tar", again).read_bytes()
    (own / "DEMO_img_train.tar").write_bytes(make_tar({"n00000030.tar": inner}))
    line = refused(preprocess(own, tmp_path / "d"))
    assert "train/n00000030: expected each image once, found n00000030_1.JPEG twice" in line


def test_empty_members_go_to_quarantine(own: Path, tmp_path: Path) -> None:
    write(own / "DEMO_img_val.tar", headers(val_names(8)))
    result = preprocess(own, tmp_path / "d")
    assert result.exit_code == 3
    assert result.stderr.count(": empty file\n") == 8


@pytest.mark.parametrize("size", [1 << 32, 10**12, 1 << 62])
def test_a_member_longer_than_its_tar_is_refused(own: Path, tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("DEMO_val_00000001.JPEG")
    info.size = size
    write(own / "DEMO_img_val.tar", iter([info.tobuf(tarfile.GNU_FORMAT), bytes(5000)]))
    line = refused(preprocess(own, tmp_path / "d"))
    assert f"'DEMO_val_00000001.JPEG': expected {size} bytes, found an end after 6536" in line


@pytest.mark.parametrize("size", [1 << 30, 10**11])
def test_a_member_of_many_gigabytes_is_refused_unread(own: Path, tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("DEMO_val_00000001.JPEG")
    info.size = size
    with (own / "DEMO_img_val.tar").open("wb") as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        stream.truncate(stream.tell() + size + 2 * tarfile.BLOCKSIZE)  # a hole, which reads as 0
    line = refused(preprocess(own, tmp_path / "d"))
    assert "DEMO_img_val.tar: DEMO_val_00000001.JPEG: expected " in line


@pytest.mark.slow
def test_a_million_empty_members_take_seconds_and_little_memory(own: Path, tmp_path: Path) -> None:
    write(own / "DEMO_img_val.tar", headers(val_names(10**6)))
    stage = [sys.executable, "-m", "alexrep.stages", *words(own, tmp_path / "d")]
    between = [sys.executable, "-I", "-S", "-c", MEASURED, str(tmp_path / "said"), *stage]
    measured = subprocess.run(between, check=True, stdout=subprocess.PIPE)
    code, seconds, peak_mb = json.loads(measured.stdout)
    print(f"\n10^6 empty members: {seconds:.0f} s, at most {peak_mb:.0f} MB")
    assert code == 1
    assert LINE.fullmatch((tmp_path / "said").read_text().splitlines(True)[-1])
    assert peak_mb < 1000
