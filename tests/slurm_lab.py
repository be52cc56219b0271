"""Trains under Slurm: submit, pause, and compare with undisturbed trainings."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from cluster import Cluster
from waiting import wait_until

SCRIPT = str(Path(__file__).resolve().parent.parent / "slurm" / "train.slurm")
RECIPE = """\
base = "demo"
name = "small"
prepared_side = 72
[model]
width = 0.05
side = 67
[feed]
batch_size = 4
[schedule]
epochs = 80
changes = [{ epoch = 0, weights = 0.003, biases = 0.006 }]
"""
# The environment of a job; one thread, as the bits depend on their number.
ENVIRONMENT = f"export OMP_NUM_THREADS=1 PATH={Path(sys.executable).parent}:$PATH\n"


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["loss"] for row in rows if row["kind"] == "step"]


def ranks(cluster: Cluster, node: str) -> set[int]:
    """Return the pids of alexrep on a node."""
    commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in cluster.processes(node)}
    return {pid for pid, path in commands.items() if b"python" in path.read_bytes().split(b"\0")[0]}


class Paused:
    """Processes that are stopped (SIGSTOP) inside a `with` block."""

    def __init__(self, processes: set[int]) -> None:
        self.processes = processes

    def __enter__(self) -> "Paused":
        assert self.processes, "the training should not have ended yet"
        self._send(signal.SIGSTOP)
        return self

    def __exit__(self, *error: object) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def have_been_sent(self, number: signal.Signals) -> bool:
        """Tell whether a signal is pending for all of them."""
        status = [Path(f"/proc/{pid}/status").read_text() for pid in self.processes]
        waiting = [int(text.split("ShdPnd:")[1].split()[0], 16) for text in status]
        return all(mask >> (number - 1) & 1 for mask in waiting)


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
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [int(row["step"]) for row in rows if row["kind"] == "step"]

    def wait_for_step(self, run: str, step: int) -> None:
        """Wait until the run's log has reached a step."""
        wait_until(lambda: max(self.rows(run), default=0) >= step, f"step {step} of {run}", 180)

    def pause(self, job: str, run: str) -> "Paused":
        """Pause a job's training in the middle of its run."""
        self.wait_for_step(run, 60)
        return Paused(ranks(self.cluster, self.node(job)))

    def node(self, job: str) -> str:
        """Return the node that a job is on."""
        return self.cluster.fact(job, "BatchHost")

    def ends_like(self, job: str, run: str, digest: str, seconds: float = 300) -> None:
        """Assert that a job succeeds with these weights and with no step twice in its log."""
        assert self.cluster.wait(job, seconds=seconds) == ["COMPLETED"], self.output(run)
        assert self.digest(run) == digest
        assert self.rows(run) == sorted(set(self.rows(run)))
