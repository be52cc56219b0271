"""What the bits of a training depend on beside recipe and data."""

import platform
from importlib import metadata

import torch
from pydantic import JsonValue

from alexrep.config.recipe import Recipe

LIBRARIES = ("numpy", "simplejpeg")
"""Libraries beside torch that make numbers: draws, pixels."""

Conditions = dict[str, JsonValue]


def describe(recipe: Recipe, device: torch.device, num_processes: int = 1) -> Conditions:
    """Return what must be the same for a run to go on with the same bits.

    torch splits the sums of a convolution's gradient among its threads: on the processor,
    one thread and two give other weights after an epoch of the demo. Decoding threads, and
    torch's threads beside a GPU, change nothing and are not in it.
    """
    on_cpu = device.type == "cpu"
    kind = torch.backends.cpu.get_cpu_capability() if on_cpu else _name(device)
    return {
        "machine": platform.machine(),
        "device": f"{device.type}, {kind}",
        "torch_threads": torch.get_num_threads() if on_cpu else None,
        "processes": num_processes,
        "compile": recipe.compute.compile,
        "torch": str(torch.__version__),
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def difference(before: Conditions, now: Conditions) -> list[str]:
    """Name what differs, as `name: before -> now`."""
    return [
        f"{key}: {before.get(key)!r} -> {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "one"
