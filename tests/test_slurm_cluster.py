"""The cluster that the Slurm tests run on: where it cannot be, and what it leaves."""

import os
from pathlib import Path

import cluster_setup
import pytest
from cluster import running


@pytest.fixture
def without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have Slurm be absent, and return a folder with an apt-get that has no such package."""
    monkeypatch.setattr(cluster_setup, "PROGRAMS", ("no-such-slurmd",))
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexit 100\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_root_gets_the_packages_or_a_reason(
    without_slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cluster_setup.lack() == "Slurm is not installed: no no-such-slurmd"
    update, install = (without_slurm / "calls").read_text().splitlines()
    assert update == "update"
    assert install.endswith("slurmd slurmctld slurm-client munge")


def test_others_get_a_reason(without_slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="Slurm is not installed"), running():
        pass
    assert not (without_slurm / "calls").exists()


@pytest.mark.slurm
def test_nothing_of_a_cluster_is_left(tmp_path: Path) -> None:
    with running() as cluster:
        script = "trap '' TERM; srun sleep 99 & touch at; wait"
        words = ("--nodes=2", "--ntasks=2", "--output=/dev/null", f"--chdir={tmp_path}")
        cluster.wait(cluster.submit(*words, "--wrap", script), "RUNNING")
        assert cluster.processes(cluster.fact("1", "BatchHost"))
    assert not cluster.processes()
    assert not cluster.folder.exists()
