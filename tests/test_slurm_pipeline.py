"""slurm/pipeline.sh on a real cluster: all stages on the demo edition, and failing parts."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, running

from alexrep.config.recipe import REMARKS
from alexrep.demo import edition

SCRIPT = str(Path(__file__).resolve().parent.parent / "slurm" / "pipeline.sh")
JOBS = ("preprocess", "mean", "pca", "pack", "train", "eval")
SETTINGS = ("schedule.epochs=3", "model.width=0.05", "model.side=67")
RECIPE = """\
base = "demo"
[model]
width = 0.05
side = 67
[schedule]
epochs = 3
"""
ENVIRONMENT = f"export OMP_NUM_THREADS=1 PATH={Path(sys.executable).parent}:$PATH\n"
VARIABLES = {"RECIPE": "small.toml", "GPUS": "0", "CPUS": "1", "PARTS": "3", "SIDE": "128"}
UNIT = "data/images/train/n90000004.tar"

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a cluster that runs, or skip."""
    with running() as started:
        yield started


@pytest.fixture
def folder(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """Return a working folder with the demo edition; end all jobs afterwards."""
    edition.write(tmp_path / "raw")
    (tmp_path / "small.toml").write_text(RECIPE)
    (tmp_path / "env.sh").write_text(ENVIRONMENT)
    yield tmp_path
    cluster.cancel_all()


def submit(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Submit all stages from `folder`; return the number of each job."""
    variables = VARIABLES | {"RUN": "run", "ALEXREP_ENV": "env.sh"}
    result = subprocess.run(
        ["bash", SCRIPT],
        cwd=folder,
        env=cluster.environment | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    numbers = dict(line.split() for line in result.splitlines())
    assert tuple(numbers) == JOBS
    return numbers


def output(folder: Path) -> str:
    """Return what all jobs have printed."""
    return "\n".join(f"{path.name}: {path.read_text()}" for path in sorted(folder.glob("*.log")))


def ends_well(cluster: Cluster, folder: Path, jobs: dict[str, str]) -> None:
    assert cluster.wait(jobs["eval"], seconds=500) == ["COMPLETED"], output(folder)


def directly(folder: Path) -> None:
    """Run `alexrep demo` with the same settings."""
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "alexrep.stages", "demo", str(folder), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def records(folder: Path) -> dict[str, Any]:
    """Return the manifests of a folder, and the errors, by path."""
    paths = [*folder.glob("data/**/*manifest.json"), folder / "run/manifest.json"]
    paths.append(folder / "run/results/val-ten-crop.json")
    read: dict[str, Any] = {
        str(path.relative_to(folder)): json.loads(path.read_text()) for path in paths
    }
    for name in REMARKS:  # each recipe has its own
        read["run/manifest.json"]["settings"].pop(name, None)
    return read


def test_the_pipeline_ends_with_the_errors_of_the_demo(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    jobs = submit(cluster, folder)
    directly(tmp_path / "demo")
    ends_well(cluster, folder, jobs)
    assert cluster.states(jobs["preprocess"]) == ["COMPLETED"] * 3
    assert records(folder) == records(tmp_path / "demo")
    assert "3 (done, with quarantined images) is 0 for dependent jobs" in output(folder)


def test_a_failing_part_is_named_and_stops_the_chain(cluster: Cluster, folder: Path) -> None:
    # A file cannot replace a folder, so the part with this unit fails.
    (folder / UNIT / "in the way").mkdir(parents=True)
    jobs = submit(cluster, folder)
    assert cluster.wait(jobs["eval"]) == ["CANCELLED"], output(folder)
    states = [cluster.states(jobs[name]) for name in JOBS]
    assert sorted(states[0]) == ["COMPLETED", "COMPLETED", "FAILED"]
    assert states[1:] == [["CANCELLED"]] * 5
    failed = states[0].index("FAILED")
    line = r"preprocess\.slurm: task (\d) of job (\d+) on .*: exited with 1; the jobs that depend"
    named = re.search(line, output(folder))
    assert named is not None
    assert named.groups() == (str(failed), jobs["preprocess"])
    (folder / UNIT / "in the way").rmdir()
    (folder / UNIT).rmdir()
    again = submit(cluster, folder)
    ends_well(cluster, folder, again)
