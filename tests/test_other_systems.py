"""macOS lacks some calls of Linux, and counts memory in another unit: the chain runs all the same.

The calls are taken away in processes of Linux; on a Mac nothing of this has been tried.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from recipes import tiny_recipe
from without_float64 import WithoutFloat64

from alexrep import guarded, pool, system
from alexrep.compute import devices
from alexrep.errors import ConfigError
from alexrep.evaluation.scores import Scores
from alexrep.stages.cli import subprocesses
from alexrep.stages.cli.subprocesses import DONE

SHIM = '''
"""Run by Python at the start of every process: takes away what macOS does not have."""
import builtins, errno, os, resource

for name in dir(os):
    if name.startswith(("sched_", "posix_fa", "POSIX_FADV", "O_DIRECT", "O_TMPFILE", "pidfd")):
        delattr(os, name)
for name in ("fdatasync", "copy_file_range", "memfd_create", "getrandom", "setns", "unshare"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("EREMOTEIO", "ENONET", "EUCLEAN"):
    if hasattr(errno, name):
        delattr(errno, name)

def without_proc(function):
    def call(path, *rest, **named):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return function(path, *rest, **named)
    return call

import io
os.readlink, os.listdir = without_proc(os.readlink), without_proc(os.listdir)
io.open = builtins.open = without_proc(builtins.open)

set_limit = resource.setrlimit
def setrlimit(kind, limits):
    if kind == resource.RLIMIT_AS:
        raise ValueError("current limit exceeds maximum limit")
    set_limit(kind, limits)
resource.setrlimit = setrlimit
'''
LACKING = "import os, sys; sys.exit(hasattr(os, 'sched_getaffinity') or os.path.exists('/nothing'))"
CHAIN = (
    "preprocess {raw} {data} --partial --side 72 --workers 2",
    "mean {data} --workers 2",
    "pca {data}",
    "pack {data} --workers 2",
    "verify {data} --deep",
    "train {data} --run {run} --recipe {recipe} --device cpu -q",
    "eval {run} --data {data} --ten-crop -q",
)


@pytest.fixture
def mac(tmp_path: Path) -> dict[str, str]:
    """Return the environment of processes that lack what macOS lacks."""
    folder = tmp_path / "shim"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIM)
    return os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_the_chain_runs_without_what_linux_alone_has(
    mac: dict[str, str], raw: Path, tmp_path: Path
) -> None:
    assert subprocess.run([sys.executable, "-c", LACKING], env=mac, check=False).returncode == 0
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny_recipe(1))
    paths = {"raw": raw, "data": tmp_path / "data", "run": tmp_path / "run", "recipe": recipe}
    for line in CHAIN:
        words = line.format(**paths).split()
        command = [sys.executable, "-m", "alexrep", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=mac, capture_output=True, text=True, check=False
        )
        assert done.returncode in DONE, (words[0], done.stdout, done.stderr)
    assert (tmp_path / "run/results/val-ten-crop.json").exists()


def test_without_affinity_all_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert pool.available() == os.cpu_count()


def test_memory_is_counted_in_the_unit_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=2048))
    assert system.peak_memory() == 2048 * 1024
    monkeypatch.setattr(sys, "platform", "darwin")
    assert system.peak_memory() == 2048


def test_only_linux_is_asked_to_end_a_stage_with_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", None)
    subprocesses._end_with_parent(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_a_limit_that_the_system_does_not_take_limits_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(kind: int, limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    system.limit(resource.RLIMIT_AS, guarded.MEMORY)


def test_apples_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"--device: expected an Apple GPU .*, found none on"):
        devices.pick("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.pick("mps") == torch.device("mps")


def test_scores_on_apples_gpus_need_nothing_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, labels = torch.tensor([[0.7, 0.3], [0.5, 0.5]]), torch.tensor([1, 0])
    monkeypatch.setattr("alexrep.evaluation.scores.widest_float", lambda _: torch.float32)
    scores = Scores()
    with WithoutFloat64():  # type: ignore[no-untyped-call]
        scores.add(probabilities, labels)
    assert scores.top1_error == 0.75
