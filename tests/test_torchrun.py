"""The command itself under torchrun: two processes make of the same data what one makes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alexrep.runs import log
from alexrep.runs.state import TIMES

TINY = """
base = "demo"
name = "tiny"
model = { side = 67, width = 0.05, std_factor = 4.5 }
feed = { batch_size = 4 }
[schedule]
epochs = 2
changes = [{ epoch = 0, weights = 0.001, biases = 0.002 }]
"""
ALONE = [sys.executable, "-m", "alexrep.stages"]
# After the two dashes torchrun leaves --run alone, which it takes for its own --run-path.
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TWO = [*LAUNCH, "-m", "--", "alexrep.stages"]

pytestmark = pytest.mark.slow


def command(start: list[str], data: Path, run: Path, recipe: Path, *more: str) -> list[str]:
    given = ["--recipe", str(recipe), "--device", "cpu", "--workers", "1", *more]
    return [*start, "-q", "train", str(data), "--run", str(run), *given]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_two_processes_make_the_errors_of_one(data: Path, recipe: Path, tmp_path: Path) -> None:
    details = []
    for name, start in (("one", ALONE), ("two", TWO)):
        line = command(start, data, tmp_path / name, recipe)
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        # One process prints: the counts and the errors.
        assert len(done.stdout.splitlines()) == 2
        details.append(json.loads((tmp_path / name / "manifest.json").read_text())["details"])
    one, two = details
    assert {k: v for k, v in one.items() if k != "weights"} == {
        k: v for k, v in two.items() if k != "weights"
    }
    rows = [log.read(tmp_path / name / "log.jsonl") for name in ("one", "two")]
    for first, second in zip(*rows, strict=True):
        for key in first.keys() - set(TIMES):
            value = first[key]
            near = pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
            assert second[key] == near, key
    again = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "finished before" in again.stdout


def test_a_killed_process_ends_the_run_and_is_named(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    """As two tasks of srun would be: nobody else looks after them."""
    line = command(ALONE, data, tmp_path / "run", recipe, "--epochs", "100000")
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "21399", "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            line,
            env=os.environ | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        rows = tmp_path / "run" / "log.jsonl"
        until = time.monotonic() + 60
        while not (rows.exists() and len(log.read(rows)) > 10) and time.monotonic() < until:
            time.sleep(0.1)
        ranks[1].send_signal(signal.SIGKILL)
        _, said = ranks[0].communicate(timeout=60)
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    assert ranks[0].returncode == 1
    assert said.splitlines()[-1].startswith("alexrep: rank 1: expected to go on, found no sign")
