"""What must match for a resume to be bit-exact, beside recipe and data."""

import platform
from importlib import metadata

import torch
from pydantic import JsonValue

from alexrep.compute import precision
from alexrep.config.recipe import Recipe
from alexrep.kernels import choice

LIBRARIES = ("numpy", "simplejpeg")
"""Libraries beside torch that make numbers: draws, pixels."""

Conditions = dict[str, JsonValue]


def describe(recipe: Recipe, device: torch.device, num_processes: int = 1) -> Conditions:
    """Return what must be the same for a run to go on with the same bits.

    torch splits the sums of a convolution's gradient among its threads: on the CPU, one thread
    and two give other weights after an epoch of the demo. Decoding threads, and torch's threads
    beside a GPU, change nothing and are left out.
    """
    on_cpu = device.type == "cpu"
    kind = torch.backends.cpu.get_cpu_capability() if on_cpu else _name(device)
    return {
        "machine": platform.machine(),
        "device": f"{device.type}, {kind}",
        "torch_threads": torch.get_num_threads() if on_cpu else None,
        "processes": num_processes,
        "compiled": precision.is_compiled(recipe.compute, device),
        "fused": list[JsonValue](choice.fused(recipe.compute.kernels, device)),
        "torch": str(torch.__version__),
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def difference(before: Conditions, now: Conditions) -> list[str]:
    """Name what differs, as `name: before -> now`."""
    before = _as_recorded_now(before, now)
    return [
        f"{key}: {before.get(key)!r} -> {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _as_recorded_now(before: Conditions, now: Conditions) -> Conditions:
    """Return the conditions of an older checkpoint under the names of today.

    It had the wish to compile as `compile`. Without it nothing was compiled; with it, whether a
    compiler was there is not known, and no difference is claimed. None had fused kernels.
    """
    before = {"fused": [], **before}
    if "compile" not in before:
        return before
    rest = {key: value for key, value in before.items() if key != "compile"}
    return {"compiled": bool(before["compile"]) and now.get("compiled"), **rest}


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "one"
