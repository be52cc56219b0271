"""Output to a terminal that has been closed: a failed remark is no failed work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from alexrep.stages.cli import terminal
sys.stdin.read()
terminal.outlive()
print("a remark"); sys.stdout.flush()
print("another", file=sys.stderr)
open(sys.argv[1], "w").write("done")
"""


def run(out: int, done: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CODE, str(done)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out)


def test_work_goes_on_when_its_terminal_is_gone(tmp_path: Path) -> None:
    here, there = os.openpty()
    child = run(there, tmp_path / "done")
    os.close(there)
    os.close(here)
    child.communicate(b"", timeout=60)
    assert child.returncode == 0
    assert (tmp_path / "done").read_text() == "done"


def test_what_is_said_comes_to_a_terminal_that_is_there(tmp_path: Path) -> None:
    here, there = os.openpty()
    child = run(there, tmp_path / "done")
    child.communicate(b"", timeout=60)
    os.close(there)
    assert os.read(here, 1000) == b"a remark\r\nanother\r\n"
    os.close(here)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_still_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        child = run(full.fileno(), tmp_path / "done")
        child.communicate(b"", timeout=60)
    assert child.returncode != 0
