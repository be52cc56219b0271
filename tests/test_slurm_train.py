"""slurm/train.slurm on a real cluster: stopped in every way that Slurm knows, and gone on with."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, running, wait_until

SCRIPT = str(Path(__file__).resolve().parent.parent / "slurm" / "train.slurm")
RECIPE = """\
base = "demo"
name = "small"
[model]
width = 0.05
side = 67
[feed]
batch_size = 4
[schedule]
epochs = 80
changes = [{ epoch = 0, weights = 0.003, biases = 0.006 }]
"""
# Reading of all that the jobs need; one thread, on which the bits depend.
ENVIRONMENT = f"export OMP_NUM_THREADS=1 PATH={Path(sys.executable).parent}:$PATH\n"

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


class Lab:
    """A cluster, a prepared data folder, and runs."""

    def __init__(self, cluster: Cluster, data: Path, folder: Path) -> None:
        self.cluster, self.data, self.folder = cluster, data, folder
        (folder / "small.toml").write_text(RECIPE)
        (folder / "env.sh").write_text(ENVIRONMENT)

    def submit(self, run: str, *options: str, more: tuple[str, ...] = (), **variables: str) -> str:
        """Submit a training with options of sbatch, and `more` of alexrep; return its number."""
        given = {"DATA": str(self.data), "RUN": run, "RECIPE": "small.toml", "GPUS": "0"}
        given |= {"ALEXREP_ENV": "env.sh"} | variables
        words = (f"--chdir={self.folder}", f"--output={run}.out", "--gpus-per-task=0", *options)
        return self.cluster.submit(*words, SCRIPT, *more, **given)

    def directly(self, run: str, *more: str) -> str:
        """Train without Slurm; return the digest of the weights."""
        command = [sys.executable, "-m", "alexrep.stages", "train", str(self.data), "--run", run]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        words = ["--recipe", "small.toml", "--device", "cpu", *more]
        subprocess.run([*command, *words], cwd=self.folder, env=environment, check=True)
        return self.digest(run)

    def digest(self, run: str) -> str:
        """Return the digest of a finished run's weights."""
        record = json.loads((self.folder / run / "manifest.json").read_text())
        return str(record["details"]["weights"])

    def output(self, run: str) -> str:
        """Return what the job has printed."""
        path = self.folder / f"{run}.out"
        return path.read_text() if path.exists() else ""

    def rows(self, run: str) -> list[int]:
        """Return the steps of the run's log, in order."""
        log = self.folder / run / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [int(row["step"]) for row in found if row["kind"] == "step"]

    def wait_for_step(self, run: str, step: int) -> None:
        """Wait until the run's log has come to a step."""
        wait_until(lambda: max(self.rows(run), default=0) >= step, 90, f"step {step} of {run}")

    def node(self, job: str) -> str:
        """Return the node that a job is on."""
        return self.cluster.fact(job, "BatchHost")

    def ends_like(self, job: str, run: str, digest: str, seconds: float = 120) -> None:
        """Require that a job ends well, with these weights and no step twice in its log."""
        assert self.cluster.wait(job, seconds=seconds) == ["COMPLETED"], self.output(run)
        assert self.digest(run) == digest
        assert self.rows(run) == sorted(set(self.rows(run)))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a cluster that runs, or skip."""
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def shared(cluster: Cluster, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return the lab, whatever state it is in."""
    return Lab(cluster, data, tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """Return the lab; end the test's jobs and mend its nodes afterwards."""
    yield shared
    shared.cluster.cancel_all()


@pytest.fixture(scope="module")
def undisturbed(shared: Lab) -> str:
    """Return the digest of the weights of a training that nothing stopped."""
    return shared.directly("undisturbed")


def test_a_training_out_of_time_is_requeued_and_ends_with_the_same_bits(lab: Lab) -> None:
    long = ("--epochs", "500")
    # Slurm looks every 30 s: the warning comes within the first 30 s, the end would after 60.
    limit = ("--time=1", "--signal=B:USR2@60")
    job = lab.submit("limited", *limit, more=long)
    digest = lab.directly("unlimited", *long)
    lab.ends_like(job, "limited", digest, seconds=240)
    assert int(lab.cluster.fact(job, "Restarts")) >= 1
    assert "SIGUSR2, saved" in lab.output("limited")


def test_a_training_requeued_by_hand_ends_with_the_same_bits(lab: Lab, undisturbed: str) -> None:
    job = lab.submit("requeued")
    lab.wait_for_step("requeued", 60)
    lab.cluster.run("scontrol", "requeue", job)
    lab.ends_like(job, "requeued", undisturbed)
    assert lab.cluster.fact(job, "Restarts") == "1"
    assert "SIGTERM, saved" in lab.output("requeued")


def test_a_training_whose_node_dies_goes_on_on_the_other(lab: Lab, undisturbed: str) -> None:
    job = lab.submit("orphan")
    lab.wait_for_step("orphan", 60)
    lost = lab.node(job)
    lab.cluster.kill_node(lost)
    assert not (lab.folder / "orphan/manifest.json").exists()
    lab.ends_like(job, "orphan", undisturbed)
    assert lab.node(job) != lost
    assert lab.cluster.fact(job, "Restarts") == "1"


def ranks(cluster: Cluster, node: str) -> set[int]:
    """Return the processes of alexrep on a node."""
    commands = {one: Path(f"/proc/{one}/cmdline") for one in cluster.processes(node)}
    return {one for one, path in commands.items() if b"python" in path.read_bytes().split(b"\0")[0]}


def test_a_training_cut_off_with_its_node_leaves_the_run_to_the_next(lab: Lab) -> None:
    long = ("--epochs", "250")
    job = lab.submit("divided", more=long)
    lab.wait_for_step("divided", 60)
    lost = lab.node(job)
    lab.cluster.cut_node(lost)
    lab.cluster.wait(job, "RUNNING")
    assert lab.cluster.fact(job, "Restarts") == "1"
    assert ranks(lab.cluster, lost), "the old process should live beside the new one"
    lab.ends_like(job, "divided", lab.directly("undivided", *long))
    assert lab.node(job) != lost
    assert not ranks(lab.cluster, lost)


def test_a_preempted_training_is_requeued(lab: Lab, undisturbed: str) -> None:
    job = lab.submit("preempted")
    lab.wait_for_step("preempted", 60)
    # The partition takes the node after a grace time and would end the job, not requeue it.
    words = ("--partition=urgent", "--exclusive", "--nodes=2", "--output=/dev/null")
    lab.cluster.submit(*words, "--wrap", "sleep 1")
    lab.ends_like(job, "preempted", undisturbed)
    assert lab.cluster.fact(job, "Restarts") == "1"
    assert "SIGTERM, saved" in lab.output("preempted")


def test_a_cancelled_training_is_over(lab: Lab) -> None:
    job = lab.submit("cancelled")
    lab.wait_for_step("cancelled", 60)
    lab.cluster.run("scancel", job)
    assert lab.cluster.wait(job, seconds=30) == ["CANCELLED"]
    assert lab.cluster.fact(job, "Restarts") == "0"
    wait_until(lambda: "SIGTERM, saved" in lab.output("cancelled"), 10, "the checkpoint")
    assert (lab.folder / "cancelled/checkpoints/last.pt").exists()
    assert not (lab.folder / "cancelled/manifest.json").exists()


def test_a_training_is_requeued_a_bounded_number_of_times(lab: Lab) -> None:
    job = lab.submit("bounded", MAX_REQUEUE="0")
    lab.wait_for_step("bounded", 20)
    lab.cluster.run("scancel", "--batch", "--signal=USR2", job)
    assert lab.cluster.wait(job, seconds=30) == ["FAILED"]
    assert "requeued 0 times, which is enough" in lab.output("bounded")


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


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["loss"] for row in rows if row["kind"] == "step"]


def test_two_nodes_train_what_one_node_trains(lab: Lab, undisturbed: str) -> None:
    two = lab.submit("two-nodes", "--nodes=2", "--ntasks=2")
    assert lab.cluster.wait(two) == ["COMPLETED"], lab.output("two-nodes")
    one = lab.submit("one-node", "--nodes=1", "--ntasks=2")
    lab.ends_like(one, "one-node", lab.digest("two-nodes"))
    # One process sums in another order: the same but for float32's last digits.
    alone, together = (losses(lab.folder / name) for name in ("undisturbed", "two-nodes"))
    assert together[:50] == pytest.approx(alone[:50], rel=1e-4)


def test_two_nodes_out_of_time_end_with_the_same_bits(lab: Lab) -> None:
    job = lab.submit("two-again", "--nodes=2", "--ntasks=2")
    lab.wait_for_step("two-again", 60)
    lab.cluster.run("scancel", "--batch", "--signal=USR2", job)
    lab.ends_like(job, "two-again", lab.digest("two-nodes"))
    assert lab.cluster.fact(job, "Restarts") == "1"
