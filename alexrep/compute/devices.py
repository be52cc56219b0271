"""The device named by an option, and one device for each rank."""

import contextlib
import os
from collections.abc import Iterator, Sequence

import torch

from alexrep.compute.processes import START_S, Processes, joined
from alexrep.compute.rank import ProcessRank, own_towers
from alexrep.errors import ConfigError, mismatch


def pick(name: str) -> torch.device:
    """Return the device; "auto" takes the first GPU of CUDA if there is one.

    Apple's GPUs ("mps") have to be asked for: nobody has tried alexrep on one yet.

    Raises:
        ConfigError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device: torch.device | None
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    # torch knows more kinds, on which the network does not run or was never tried.
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        wanted = "auto, cpu, cuda:N or mps"
        raise ConfigError(mismatch("--device", wanted, repr(name), "choose one"))
    if device.type == "mps" and not torch.backends.mps.is_available():
        wanted, found = "an Apple GPU that PyTorch can use, for mps", "none on this machine"
        raise ConfigError(mismatch("--device", wanted, found, "take --device cpu, or auto"))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(mismatch("--device", *_lacking(name, torch.cuda.device_count())))
    return device


def _lacking(name: str, num_gpus: int) -> tuple[str, str, str]:
    """Return what a device needs, what there is, and what to do, for a message."""
    if not num_gpus:
        advice = "take --device cpu, or auto"
        return f"a GPU that PyTorch can use, for {name}", "none on this machine", advice
    return name, f"cuda:0 to cuda:{num_gpus - 1}", "choose one of these, or auto"


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on Apple's GPUs, which have nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64


@contextlib.contextmanager
def meeting(
    name: str, towers: Sequence[str] = (), start_s: float = START_S
) -> Iterator[tuple[torch.device, Processes]]:
    """Join the ranks that torchrun or Slurm started, each on its device.

    Args:
        name: As for `pick`; "auto" and "cuda" give each process a GPU of its own.
        towers: Devices of the first process's towers; a process computes where its first one is.
        start_s: Seconds that the first process waits for the last one.

    Raises:
        ConfigError: If there is no such device, or the environment is incomplete.
        AlexrepError: If another process does not come, dies or hangs.
    """
    process = ProcessRank.of(os.environ)
    device = process.device(pick(name))
    if towers:
        device = torch.device(own_towers(towers, process.local_rank)[0])
    with joined(process, device, start_s=start_s) as processes:
        yield device, processes
