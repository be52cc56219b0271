"""The command under torchrun: two processes reach the same result as one."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recipes import tiny_recipe
from waiting import PATIENCE_S, wait_until

from alexrep import locks
from alexrep.runs import checkpoint, log, results, state
from alexrep.runs.folder import RunFolder
from alexrep.runs.state import TIMES

TINY = tiny_recipe(2)
BATCHES = "alexrep: batches of 4 images, 2 a process"
"""What several processes say at their start."""
ALONE = [sys.executable, "-m", "alexrep.stages"]
# Without the two dashes, torchrun takes --run for its own --run-path.
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TWO = [*LAUNCH, "-m", "--", "alexrep.stages"]
LEAVE = """
import os, sys
from pathlib import Path
from typing import Any
import torch
from alexrep.compute.rank import ProcessRank
from alexrep.compute.processes import joined

with joined(ProcessRank.of(os.environ), torch.device("cpu")) as processes:
    torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])
    processes.total([1.0])
threads = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
sys.exit("pt_gloo_runloop" in threads)
"""

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
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        # One process prints: the counts and the errors.
        assert len(done.stdout.splitlines()) == 2
        assert ("batches of 4 images, 2 a process" in done.stderr) == (name == "two")
        details.append(json.loads((tmp_path / name / "manifest.json").read_text())["details"])
    alone, shared = details
    assert {k: v for k, v in alone.items() if k != "weights"} == {
        k: v for k, v in shared.items() if k != "weights"
    }
    rows = [log.read(tmp_path / name / "log.jsonl") for name in ("one", "two")]
    for first, second in zip(*rows, strict=True):
        for key in first.keys() - set(TIMES):
            value = first[key]
            near = pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
            assert second[key] == near, key
    again = subprocess.run(line, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert again.returncode == 0, again.stderr
    assert "finished before" in again.stdout


@contextlib.contextmanager
def tasks(line: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Start two processes as srun starts two tasks, without a launcher that supervises them."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    variables = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    ranks = [
        subprocess.Popen(line, env=os.environ | meeting | own, stderr=subprocess.PIPE, text=True)
        for own in variables
    ]
    try:
        yield ranks
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


def wait_for_rows(run: Path, num: int) -> None:
    rows = run / "log.jsonl"
    wait_until(lambda: rows.exists() and len(log.read(rows)) > num, f"{num} rows of the log")


def ends(ranks: list[subprocess.Popen[str]]) -> tuple[list[int], list[str]]:
    """Wait for both; return their exit codes and all lines they printed to stderr."""
    outputs = [rank.communicate(timeout=PATIENCE_S)[1].splitlines() for rank in ranks]
    return [rank.returncode for rank in ranks], [line for lines in outputs for line in lines]


def test_a_killed_process_ends_the_run_and_is_named(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    with tasks(command(ALONE, data, tmp_path / "run", recipe, "--epochs", "100000")) as ranks:
        wait_for_rows(tmp_path / "run", 10)
        ranks[1].send_signal(signal.SIGKILL)
        _, stderr = ranks[0].communicate(timeout=PATIENCE_S)
        assert ranks[0].returncode == 1
    assert stderr.splitlines()[-1].startswith("alexrep: rank 1: expected to go on, found no sign")


def test_no_thread_of_the_group_is_left_when_a_process_leaves() -> None:
    # A thread that still held a tensor would abort Python with SIGABRT.
    with tasks([sys.executable, "-c", LEAVE]) as ranks:
        assert ends(ranks) == ([0, 0], [])


def test_a_signal_to_one_of_two_processes_costs_no_bit(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    setting = ("--epochs", "20", "--set", "compute.ema=0.9")
    with tasks(command(ALONE, data, tmp_path / "whole", recipe, *setting)) as ranks:
        assert ends(ranks) == ([0, 0], [BATCHES])
    line = command(ALONE, data, tmp_path / "run", recipe, *setting)
    with tasks(line) as ranks:
        wait_for_rows(tmp_path / "run", 12)
        ranks[1].send_signal(signal.SIGUSR2)
        codes, lines = ends(ranks)
    assert codes == [75, 75]
    first, message = lines
    assert first == BATCHES
    assert re.fullmatch(
        r"alexrep: step \d+: saved; stopped by a signal to another process; .*", message
    )
    assert not (tmp_path / "run" / "manifest.json").exists()
    with tasks(line) as ranks:
        assert ends(ranks) == ([0, 0], [BATCHES])
    whole, again = (RunFolder(tmp_path / name) for name in ("whole", "run"))
    assert state.digests(again) == state.digests(whole)
    last = [checkpoint.load(folder.checkpoint("last"))["average"] for folder in (whole, again)]
    assert checkpoint.weights_digest(last[0]) == checkpoint.weights_digest(last[1])


def test_a_refusal_ends_all_processes_with_one_line(
    data: Path, recipe: Path, tmp_path: Path
) -> None:
    line = command(ALONE, data, tmp_path / "run", recipe)
    with locks.held(tmp_path / "run"), tasks(line) as ranks:
        codes, lines = ends(ranks)
    assert codes == [1, 1]
    first, message = lines
    assert first == BATCHES
    assert re.fullmatch(r"alexrep: .*expected one writer, found another process at work.*", message)


def test_a_restart_of_the_job_takes_the_run_while_its_old_processes_live(
    data: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    line = command(ALONE, data, run, recipe, "--epochs", "100000")
    monkeypatch.setenv("SLURM_JOB_ID", "31")
    with tasks(line) as old:
        wait_for_rows(run, 6)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        with tasks(line) as new:
            codes, lines = ends(old)
            assert codes == [1, 1]
            who = f"process {new[0].pid} on [^ ]+ of job 31, restart 1, which took over"
            assert [text for text in lines if re.search(who, text)]
            wait_for_rows(run, 20)
            new[0].send_signal(signal.SIGTERM)
            assert ends(new)[0] == [75, 75]
    steps = [row["step"] for row in log.read(run / "log.jsonl") if row["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    assert checkpoint.load(RunFolder(run).checkpoint("last"))["step"] == steps[-1]


def test_two_processes_score_every_image_once(data: Path, recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = command(ALONE, data, run, recipe)
    subprocess.run(line, capture_output=True, check=True, timeout=PATIENCE_S)
    views = ("--views", "centre,ten-crop", "--json", "--all-probabilities", "--batch-size", "3")
    told: list[Any] = []
    arrays: list[results.Predictions] = []
    for start in (ALONE, TWO):
        # A name of its own, or the first result would do for the second start.
        own = shutil.copytree(run, tmp_path / f"run-{len(told)}")
        line = [*start, "-q", "eval", str(own), "--data", str(data), "--device", "cpu", *views]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
        scored = results.read_scored(own / "results" / "val-ten-crop.json")
        arrays.append(scored.predictions)
    for alone, shared in zip(*told, strict=True):
        same = ("num_images", "top1_error", "top5_error", "top1_interval", "weights", "views")
        assert [alone[key] for key in same] == [shared[key] for key in same]
        assert alone["loss"] == pytest.approx(shared["loss"], rel=1e-5)
    one, two = arrays
    assert np.array_equal(one.names, two.names)
    assert np.array_equal(one.top5, two.top5)
    assert one.all_probabilities is not None
    assert two.all_probabilities is not None
    assert np.allclose(one.all_probabilities, two.all_probabilities, atol=1e-3)
    refused = [*TWO, "-q", "eval", str(run), "--data", str(tmp_path), "--device", "cpu"]
    done = subprocess.run(refused, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode != 0
    assert done.stderr.count("alexrep: ") == 1
