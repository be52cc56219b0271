"""The cluster of the Slurm tests: where it cannot run, and that it leaves nothing behind."""

import os
from pathlib import Path

import cluster_setup
import pytest
from cluster import running


@pytest.fixture
def without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As root without Slurm: return a folder with an apt-get that has no such package."""
    monkeypatch.setattr(cluster_setup, "PROGRAMS", ("no-such-slurmd",))
    script = f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho E: no network >&2\nexit 100\n'
    (tmp_path / "apt-get").write_text(script)
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("ALEXREP_INSTALL_SLURM", "yes")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


LACK = "Slurm is not installed: no no-such-slurmd; "


def test_root_gets_the_packages_or_a_reason(without_slurm: Path) -> None:
    assert cluster_setup.lack() == f"{LACK}apt-get install: E: no network"
    update, install = (without_slurm / "calls").read_text().splitlines()
    assert update == "update"
    assert install.endswith("slurmd slurmctld slurm-client munge")


def test_others_get_a_reason(without_slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match=f"{LACK}only root can install it"), running():
        pass
    assert not (without_slurm / "calls").exists()


def test_nothing_is_installed_unasked(without_slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALEXREP_INSTALL_SLURM")
    assert (
        cluster_setup.lack()
        == f"{LACK}ALEXREP_INSTALL_SLURM=yes, which make test sets, installs it"
    )
    assert not (without_slurm / "calls").exists()


def test_without_apt_there_is_a_reason(
    without_slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (without_slurm / "apt-get").unlink()
    monkeypatch.setenv("PATH", str(without_slurm))
    assert cluster_setup.lack() == f"{LACK}there is no apt-get to install it with"


@pytest.mark.slurm
def test_nothing_of_a_cluster_is_left(tmp_path: Path) -> None:
    with running() as cluster:
        script = "trap '' TERM; srun sleep 99 & touch at; wait"
        words = ("--nodes=2", "--ntasks=2", "--output=/dev/null", f"--chdir={tmp_path}")
        job = cluster.submit(*words, "--wrap", script)
        cluster.wait(job, "RUNNING")
        assert cluster.processes(cluster.fact(job, "BatchHost"))
    assert not cluster.processes()
    assert not cluster.folder.exists()
