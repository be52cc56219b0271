"""Which process owns something, and whether it still runs."""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ENDED = "ended"


@dataclass(frozen=True)
class Owner:
    """A process that may own a lock."""

    host: str
    pid: int
    began: str
    """Boot of the machine, PID namespace, and start time of the process: together with the
    host they tell it from every other process with its number. Empty without /proc."""
    job: str | None = None
    """SLURM_JOB_ID."""
    restart: int = 0
    """SLURM_RESTART_COUNT."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Tells two locks of one process apart."""

    def __str__(self) -> str:
        """Name the process."""
        job = f" of job {self.job}, restart {self.restart}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"

    def was_restarted_as(self, other: "Owner") -> bool:
        """Tell whether `other` belongs to a later restart of the same Slurm job."""
        return self.job is not None and self.job == other.job and self.restart < other.restart

    def runs_beside(self, other: "Owner") -> bool | None:
        """Tell whether the process still runs, as far as `other`, this process, can see.

        Returns:
            None if it cannot tell: on another machine, since another boot, in another
            PID namespace, or where /proc is missing or hides the processes of other users.
        """
        machine = self.began.rpartition(" ")[0]
        is_local = self.host == other.host and machine == other.began.rpartition(" ")[0]
        if not (is_local and machine):
            return None
        if not is_running(self.pid):
            return False
        began = _began(self.pid)
        return began == self.began if began else None


def this_process(environment: Mapping[str, str] = os.environ) -> Owner:
    """Describe this process."""
    restart = environment.get("SLURM_RESTART_COUNT", "")
    return Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        began=_began(os.getpid()),
        job=environment.get("SLURM_JOB_ID"),
        restart=int(restart) if restart.isdigit() else 0,
    )


def is_running(pid: int) -> bool:
    """Tell whether a process of this number runs on this machine; a zombie does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    return _began(pid) != _ENDED


def _began(pid: int) -> str:
    """Return boot, PID namespace and start time of a process; "" if they cannot be read."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        )
        if state in "ZX":
            return _ENDED
        return f"{boot} {os.readlink('/proc/self/ns/pid')} {fields[18]}"
    except OSError:
        return ""
