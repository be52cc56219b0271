"""What a test cluster needs from this machine: Slurm's packages, free ports, settings."""

import contextlib
import fcntl
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

PACKAGES = ("slurmd", "slurmctld", "slurm-client", "munge")
ASKED = "ALEXREP_INSTALL_SLURM"
"""Environment variable that allows installing them, unless empty."""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
"""Path with the daemons, which are often not on a user's PATH."""

SETTINGS = """\
ClusterName=alexrep
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
FirstJobId={first_job}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CommunicationParameters={listen}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
PropagateResourceLimits=CORE
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MinJobAge=86400
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core,CR_LLN
KillWait=10
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
PartitionName=main Nodes=ALL Default=YES State=UP PriorityTier=1 GraceTime=60 PreemptMode=CANCEL
PartitionName=urgent Nodes=ALL State=UP PriorityTier=9 PreemptMode=OFF
"""
# cred_expire is also what a requeued job waits. Nodes claim what they have not, so that the
# batch scripts run as they are.
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=64 Boards=1 "
    "SocketsPerBoard=1 CoresPerSocket=64 ThreadsPerCore=1 RealMemory=1000000 Gres=gpu:2\n"
)


def write(folder: Path, nodes: Sequence[str]) -> None:
    """Write slurm.conf, gres.conf and cgroup.conf for a cluster of these nodes."""
    host, ports = os.uname().nodename.split(".")[0], _free_ports(1 + len(nodes))
    # Slurm stays on loopback only if the host's name resolves to it.
    listen = "NoInAddrAny,NoCtldInAddrAny" if _is_loopback() else "keepalivetime=60"
    user = pwd.getpwuid(os.getuid()).pw_name
    # Tasks meet at ports derived from the job id: a random first id keeps clusters apart.
    first_job = 1 + 1000 * secrets.randbelow(1000)
    text = SETTINGS.format(
        user=user, host=host, ports=ports, first_job=first_job, listen=listen, folder=folder
    )
    for name, port in zip(nodes, ports[1:], strict=True):
        text += NODE.format(name=name, port=port, host=host)
    (folder / "slurm.conf").write_text(text)
    for number in range(2):
        (folder / f"nvidia{number}").symlink_to(os.devnull)
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/nvidia[0-1]\n")
    # Told what to do without cgroups: before 24.05 a plugin that waits to be asked.
    cgroup = "disabled" if _version() >= (24, 5) else "cgroup/v1"
    (folder / "cgroup.conf").write_text(f"CgroupPlugin={cgroup}\n")


def lack() -> str | None:
    """Return why Slurm cannot run here, or None; install it if missing and allowed."""
    if _missing():
        failure = _forbidden() or _install()
        if missing := _missing():
            return f"Slurm is not installed: no {', '.join(missing)}; {failure}"
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return f"user {os.getuid()} has no name, which Slurm needs"
    return None


def _missing() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]


def _forbidden() -> str:
    """Return why the packages may not be installed; empty if they may."""
    if not os.environ.get(ASKED):
        return f"{ASKED}=yes, which make test sets, installs it"
    if os.geteuid() != 0:
        return "only root can install it"
    return "" if shutil.which("apt-get") else "there is no apt-get to install it with"


def _install() -> str:
    """Install the packages; return what apt-get has to say if it fails.

    Two processes of the tests take turns, and with other users of apt.
    """
    options = ["-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60"]
    lock = Path(tempfile.gettempdir()) / "alexrep-slurm.lock"
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not _missing():
            return ""
        _apt("update")  # A mirror that does not answer may have been read before.
        return _apt("install", *options, *PACKAGES)


def _apt(*words: str) -> str:
    """Run apt-get non-interactively; return the last line of its errors if it fails."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["apt-get", *words],
            env=os.environ | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
    except subprocess.TimeoutExpired:
        return f"apt-get {words[0]} took over 180 s"
    lines = done.stderr.splitlines() or [f"left with {done.returncode}"]
    return f"apt-get {words[0]}: {lines[-1]}" if done.returncode else ""


def _version() -> tuple[int, ...]:
    result = subprocess.run(
        ["slurmctld", "-V"], env={"PATH": PATH}, capture_output=True, text=True, check=True
    )
    return tuple(int(part) for part in result.stdout.split()[-1].split(".")[:2])


def _free_ports(num: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(num)]
        for listener in opened:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in opened]


def _is_loopback() -> bool:
    try:
        return socket.gethostbyname(os.uname().nodename) == "127.0.0.1"
    except OSError:
        return False
