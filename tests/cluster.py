"""A real Slurm cluster of two nodes on this machine, in a folder of its own.

munged, slurmctld and two slurmd are children of the tests and die with them. Everything they
write lies in one temporary folder; nothing under /etc is read or changed.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cluster_setup
import pytest
from waiting import wait_until

NODES = ("127.0.0.11", "127.0.0.12")
"""Node names: loopback addresses, which any program can connect to."""
FOREIGN = ("SLURM", "SBATCH_", "SRUN_", "SQUEUE_", "SCANCEL_", "SINFO_")
"""Prefixes of the variables of an outer Slurm, in whose job the tests may run."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY")
PR_SET_PDEATHSIG = 1
"""Linux, prctl(2)."""


class Cluster:
    """The cluster, and the client programs that talk to it."""

    def __init__(self, folder: Path) -> None:
        """Write the settings; start nothing yet."""
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        mine = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": cluster_setup.PATH}
        self.environment = clean | mine
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "log", *(f"spool/{node}" for node in NODES)):
            (folder / name).mkdir(mode=0o700, parents=True)
        (folder / "munge.key").touch(0o600)
        (folder / "munge.key").write_bytes(os.urandom(128))
        cluster_setup.write(folder, NODES)

    def start(self) -> None:
        """Start the daemons and wait until both nodes accept jobs."""
        folder = self.folder
        files = {"key-file": "munge.key", "seed-file": "munge.seed", "socket": "munge.socket"}
        files |= {"pid-file": "munge.pid", "log-file": "log/munged"}
        options = [f"--{option}={folder / name}" for option, name in files.items()]
        # --force: a folder that others cannot enter would be refused.
        self._spawn("munged", "munged", "--foreground", "--force", *options)
        wait_until((folder / "munge.socket").exists, "munged")
        self._spawn("slurmctld", "slurmctld", "-D", "-f", str(folder / "slurm.conf"))
        for name in NODES:
            self.start_node(name)
        wait_until(self._is_ready, "the nodes", 120)

    def start_node(self, name: str) -> None:
        """Start the slurmd of a node."""
        self._spawn(name, "slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", name)

    def kill_node(self, name: str) -> None:
        """Kill all processes of a node at once, and let Slurm notice it."""
        self.cut_node(name)
        for process in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def cut_node(self, name: str) -> None:
        """Make Slurm lose a node, while processes of jobs keep running on it."""
        self.daemons[name].kill()
        self.daemons[name].wait()
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=lost")

    def _spawn(self, name: str, *command: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )

    def _is_ready(self) -> bool:
        for name, daemon in self.daemons.items():
            assert daemon.poll() is None, f"{name} has ended:\n{self.tail()}"
        command = ["sinfo", "--noheader", "--Node", "--format=%N %T"]
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=30
        )
        return set(result.stdout.splitlines()) == {f"{name} idle" for name in NODES}

    def tail(self) -> str:
        """Return the last lines of the daemons' logs."""
        logs = sorted((self.folder / "log").iterdir())
        return "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in logs)

    def run(self, *command: str, **variables: str) -> str:
        """Run a client program; return what it prints."""
        result = subprocess.run(
            command,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout

    def submit(self, *words: str, **variables: str) -> str:
        """Submit a job by sbatch; return its number."""
        return self.run("sbatch", "--parsable", *words, **variables).strip()

    def states(self, job: str) -> list[str]:
        """Return the state of a job, or of each task of an array, in their order."""
        command = ("squeue", "--noheader", "--states=all", "--array", "--format=%K %T")
        lines = self.run(*command, f"--jobs={job}").splitlines()
        return [line.split()[1] for line in sorted(lines)]

    def fact(self, job: str, name: str) -> str:
        """Return a field of `scontrol show job`."""
        words = self.run("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)[name]

    def wait(self, job: str, *wanted: str, seconds: float = 300) -> list[str]:
        """Wait until every task of a job has ended, or is in one of the states `wanted`."""
        states = wanted or ENDED
        wait_until(
            lambda: all(state in states for state in self.states(job)),
            f"job {job} {states}",
            seconds,
        )
        return self.states(job)

    def cancel_all(self) -> None:
        """Cancel every job and wait until none is left; resume lost nodes."""
        self.run("scancel", f"--user={os.getuid()}")
        for name in NODES:
            if self.daemons[name].poll() is not None:
                self.start_node(name)
        wait_until(lambda: not self.run("squeue", "--noheader"), "the jobs' end", 120)
        wait_until(self._is_ready, "the nodes", 120)

    def stop(self) -> None:
        """Stop jobs, daemons and any process of a job that outlived them."""
        with contextlib.suppress(Exception):
            assert self.daemons["slurmctld"].poll() is None
            self.cancel_all()
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self, node: str = "") -> list[int]:
        """Return the pids of jobs and daemons, or of the jobs of one node."""
        return [
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if self._owns(process, node)
        ]

    def _owns(self, process: Path, node: str) -> bool:
        """Decide by the environment or, as a slurmstepd may have none, by open files."""
        mine, at = f"SLURM_CONF={self.folder}/".encode(), f"SLURMD_NODENAME={node}".encode()
        try:
            variables = (process / "environ").read_bytes()
            if mine in variables and (at in variables or not node):
                return True
            is_stepd = (process / "comm").read_text().startswith("slurmstepd")
            opened = [os.readlink(path) for path in (process / "fd").iterdir()] if is_stepd else []
        except OSError:  # ended meanwhile, or another user's
            return False
        return any(path.startswith(f"{self.folder}/") and path.endswith(node) for path in opened)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _started() -> Cluster:
    """Start a cluster; retry, as a chosen port may be taken by another process before its use."""
    for trial in range(3):
        # A short path: munged's socket has room for 107 letters.
        cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))
        try:
            cluster.start()
        except AssertionError:
            cluster.stop()
            if trial == 2:
                raise
        else:
            return cluster
    raise AssertionError


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Yield a running cluster in a temporary folder; skip if none can run here."""
    why = cluster_setup.lack()
    if why is not None:
        pytest.skip(why)
    cluster = _started()
    try:
        yield cluster
    finally:
        cluster.stop()
