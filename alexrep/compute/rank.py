"""Rank and world size, from torchrun or Slurm."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from alexrep.errors import AlexrepError, ConfigError, mismatch

_PORTS = 12_000, 20_000
"""First port for jobs and number of ports; below the range of ephemeral ports."""


@dataclass(frozen=True)
class ProcessRank:
    """Rank and world size of a process."""

    rank: int = 0
    """Number of this process among all, from 0."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number of this process on its machine, from 0."""
    address: str = ""
    """Rendezvous address, host:port; empty for a single process."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "ProcessRank":
        """Read the variables of torchrun, else those of a Slurm step.

        A batch script outside srun is one process, whatever its job asked for.

        Raises:
            ConfigError: If they are incomplete or no numbers.
        """
        try:
            if "RANK" in environ and "WORLD_SIZE" in environ:
                return _of_torchrun(environ)
            if "SLURM_PROCID" in environ and "SLURM_STEP_ID" in environ:
                return _of_slurm(environ)
        except (KeyError, ValueError) as error:
            advice = "start with torchrun or srun"
            found = repr(error)
            raise ConfigError(mismatch("environment", "a rank", found, advice)) from None
        return cls()

    def device(self, picked: torch.device) -> torch.device:
        """Return this process's GPU if "cuda" was asked for without a number, else `picked`."""
        if str(picked) != "cuda" or self.world_size == 1:
            return picked
        return torch.device("cuda", self.local_rank % torch.cuda.device_count())

    def no_meeting(self, error: Exception) -> AlexrepError:
        """Return the error for a rendezvous that failed."""
        wanted, found = f"{self.world_size} processes", " ".join(str(error).split())[:200]
        advice = "see whether all were started, and whether this address can be reached"
        return AlexrepError(mismatch(self.address, wanted, found, advice))

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If the rank is not one of `size`.
        """
        if not 0 <= self.rank < self.world_size or self.local_rank < 0:
            raise ValueError(f"rank: expected 0 to {self.world_size - 1}, found {self.rank}")


def _of_torchrun(environ: Mapping[str, str]) -> ProcessRank:
    rank, size = int(environ["RANK"]), int(environ["WORLD_SIZE"])
    address = ""
    if size > 1:
        address = f"{environ['MASTER_ADDR']}:{int(environ['MASTER_PORT'])}"
    return ProcessRank(rank, size, int(environ.get("LOCAL_RANK", "0")), address)


def _of_slurm(environ: Mapping[str, str]) -> ProcessRank:
    size = int(environ.get("SLURM_STEP_NUM_TASKS") or environ["SLURM_NTASKS"])
    if size == 1:
        return ProcessRank()
    nodes = environ.get("SLURM_STEP_NODELIST") or environ["SLURM_NODELIST"]
    first, num = _PORTS
    # Steps of one job, and jobs on one node, get ports of their own.
    job, step = int(environ["SLURM_JOB_ID"]), int(environ["SLURM_STEP_ID"])
    port = first + (7 * job + step) % num
    rank, local = int(environ["SLURM_PROCID"]), int(environ["SLURM_LOCALID"])
    return ProcessRank(rank, size, local, f"{first_node(nodes)}:{port}")


def own_towers(towers: Sequence[str], local: int) -> tuple[str, ...]:
    """Return the devices of the towers of one of a machine's processes.

    Args:
        towers: The devices of the first one's: the second has the GPUs after those, and so on.
        local: Number of the process on its machine, from 0.
    """
    devices = [torch.device(tower) for tower in towers]
    num = 1 + max((device.index for device in devices if device.type == "cuda"), default=-1)
    return tuple(
        f"cuda:{device.index + local * num}" if device.type == "cuda" else str(device)
        for device in devices
    )


def first_node(nodes: str) -> str:
    """Return the first node of Slurm's node list.

    Args:
        nodes: As in `gpu[03-05,7]-ib,login1`.

    Raises:
        ValueError: If it is no such list.
    """
    name = re.match(r"(?:[^,\[\]]|\[[^\[\]]*\])+", nodes)
    if name is None:
        raise ValueError(f"nodes: expected Slurm's list, found {nodes!r}")
    return re.sub(r"\[([^-,\]]*)[^\]]*\]", r"\1", name.group())
