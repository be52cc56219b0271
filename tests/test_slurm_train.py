"""slurm/train.slurm on a real cluster: stopped in every way that Slurm knows, and resumed."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cluster import Cluster, running
from slurm_lab import Lab, losses, ranks
from waiting import wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a cluster that runs, or skip."""
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def shared(cluster: Cluster, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return the lab, in whatever state earlier tests left it."""
    return Lab(cluster, data, tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """Return the lab; cancel the test's jobs and restore its nodes afterwards."""
    yield shared
    shared.cluster.cancel_all()


@pytest.fixture(scope="module")
def undisturbed(shared: Lab) -> str:
    """Return the digest of the weights of a training that nothing stopped."""
    return shared.directly("undisturbed")


def test_a_training_out_of_time_is_requeued_and_ends_with_the_same_bits(
    lab: Lab, undisturbed: str
) -> None:
    # Slurm checks every 30 s: the warning comes within the first 30 s, the kill after 60.
    job = lab.submit("limited", "--time=1", "--signal=B:USR2@60")
    with lab.pause(job, "limited") as paused:  # otherwise a fast machine would be done by then
        wait_until(lambda: paused.have_been_sent(signal.SIGUSR2), "the warning")
    lab.ends_like(job, "limited", undisturbed)
    assert int(lab.cluster.fact(job, "Restarts")) >= 1
    assert "saved; stopped by SIGUSR2" in lab.output("limited")


def test_a_training_requeued_by_hand_ends_with_the_same_bits(lab: Lab, undisturbed: str) -> None:
    job = lab.submit("requeued")
    lab.wait_for_step("requeued", 60)
    lab.cluster.run("scontrol", "requeue", job)
    lab.ends_like(job, "requeued", undisturbed)
    assert lab.cluster.fact(job, "Restarts") == "1"
    assert "saved; stopped by SIGTERM" in lab.output("requeued")


def test_a_training_whose_node_dies_goes_on_on_the_other(lab: Lab, undisturbed: str) -> None:
    job = lab.submit("orphan")
    lab.wait_for_step("orphan", 60)
    lost = lab.node(job)
    lab.cluster.kill_node(lost)
    assert not (lab.folder / "orphan/manifest.json").exists()
    lab.ends_like(job, "orphan", undisturbed)
    assert lab.node(job) != lost
    assert lab.cluster.fact(job, "Restarts") == "1"


@pytest.mark.parametrize("steps", [0, 30])
def test_a_training_cut_off_with_its_node_leaves_the_run_to_the_next(
    steps: int, lab: Lab, undisturbed: str
) -> None:
    """The old process resumes when the new one is about to begin, or `steps` ahead of it."""
    run = f"divided-{steps}"
    job = lab.submit(run)
    with lab.pause(job, run) as old:
        lost, at = lab.node(job), max(lab.rows(run))
        lab.cluster.cut_node(lost)
        lab.cluster.wait(job, "RUNNING")
        if steps:
            lab.wait_for_step(run, at + steps)
    assert lab.cluster.fact(job, "Restarts") == "1"
    lab.ends_like(job, run, undisturbed)
    assert lab.node(job) != lost
    wait_until(lambda: not ranks(lab.cluster, lost) & old.processes, "the old process's end")


def test_a_preempted_training_is_requeued(lab: Lab, undisturbed: str) -> None:
    job = lab.submit("preempted")
    lab.wait_for_step("preempted", 60)
    # Preemption comes after a grace time, and would cancel the job, not requeue it.
    words = ("--partition=urgent", "--exclusive", "--nodes=2", "--output=/dev/null")
    lab.cluster.submit(*words, "--wrap", "sleep 1")
    lab.ends_like(job, "preempted", undisturbed)
    assert lab.cluster.fact(job, "Restarts") == "1"
    assert "saved; stopped by SIGTERM" in lab.output("preempted")


def test_a_cancelled_training_is_over(lab: Lab) -> None:
    job = lab.submit("cancelled")
    lab.wait_for_step("cancelled", 60)
    lab.cluster.run("scancel", job)
    assert lab.cluster.wait(job, seconds=60) == ["CANCELLED"]
    assert lab.cluster.fact(job, "Restarts") == "0"
    wait_until(lambda: "saved; stopped by SIGTERM" in lab.output("cancelled"), "the checkpoint")
    assert (lab.folder / "cancelled/checkpoints/last.pt").exists()
    assert not (lab.folder / "cancelled/manifest.json").exists()


def test_a_training_is_requeued_a_bounded_number_of_times(lab: Lab) -> None:
    job = lab.submit("bounded", MAX_REQUEUE="0")
    lab.wait_for_step("bounded", 20)
    lab.cluster.run("scancel", "--batch", "--signal=USR2", job)
    assert lab.cluster.wait(job, seconds=60) == ["FAILED"]
    assert "requeued 0 times, the limit" in lab.output("bounded")


def test_a_task_sees_all_gpus_that_the_job_has_on_its_node(lab: Lab) -> None:
    stub = lab.folder / "bin/alexrep"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\necho seen $SLURM_NTASKS $CUDA_VISIBLE_DEVICES\n")
    stub.chmod(0o755)
    (lab.folder / "stub.sh").write_text(f"PATH={stub.parent}:$PATH\n")
    words = ("--nodes=1", "--ntasks=2", "--gpus-per-task=1")
    job = lab.submit("seen", *words, GPUS="2", ALEXREP_ENV="stub.sh")
    assert lab.cluster.wait(job) == ["COMPLETED"]
    assert lab.output("seen").splitlines() == ["seen 2 0,1"] * 2


@pytest.fixture(scope="module")
def on_two_nodes(shared: Lab) -> str:
    """Return the digest of the weights of a training on two nodes."""
    job = shared.submit("two-nodes", "--nodes=2", "--ntasks=2")
    assert shared.cluster.wait(job) == ["COMPLETED"], shared.output("two-nodes")
    return shared.digest("two-nodes")


def test_two_nodes_train_what_one_node_trains(
    lab: Lab, undisturbed: str, on_two_nodes: str
) -> None:
    job = lab.submit("one-node", "--nodes=1", "--ntasks=2")
    lab.ends_like(job, "one-node", on_two_nodes)
    # One process sums in another order: equal up to float32 rounding.
    alone, together = (losses(lab.folder / name) for name in ("undisturbed", "two-nodes"))
    assert len(together) == len(alone)
    assert together[:50] == pytest.approx(alone[:50], rel=1e-4)


def test_two_nodes_out_of_time_end_with_the_same_bits(lab: Lab, on_two_nodes: str) -> None:
    job = lab.submit("two-again", "--nodes=2", "--ntasks=2")
    lab.wait_for_step("two-again", 60)
    lab.cluster.run("scancel", "--batch", "--signal=USR2", job)
    lab.ends_like(job, "two-again", on_two_nodes)
    assert lab.cluster.fact(job, "Restarts") == "1"


def test_two_nodes_score_what_one_process_scores(lab: Lab, undisturbed: str) -> None:
    assert undisturbed
    words = ("--data", str(lab.data), "--views", "centre,ten-crop", "--device", "cpu")
    shutil.copytree(lab.folder / "undisturbed", lab.folder / "scored")
    command = shlex.join(["srun", "alexrep", "eval", "scored", *words])
    options = (f"--chdir={lab.folder}", "--nodes=2", "--ntasks=2", "--output=scored.out")
    job = lab.cluster.submit(*options, "--wrap", f". ./env.sh; {command}")
    assert lab.cluster.wait(job) == ["COMPLETED"], lab.output("scored")
    single = [sys.executable, "-m", "alexrep.stages", "eval", "undisturbed", *words]
    subprocess.run(single, cwd=lab.folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    for views in ("val-centre", "val-ten-crop"):
        paths = [lab.folder / run / "results" / views for run in ("undisturbed", "scored")]
        one, two = (json.loads(path.with_suffix(".json").read_text()) for path in paths)
        assert two["top1_error"] == one["top1_error"]
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        alone, together = (np.load(path.with_suffix(".npz"))["names"] for path in paths)
        assert together.tolist() == alone.tolist()
        assert len(set(together.tolist())) == len(together) > 0
