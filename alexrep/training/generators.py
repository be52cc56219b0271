"""The states of torch's own generators: ours need none, dropout of torch's draws from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexrep import keyed
from alexrep.compute.processes import Processes

_RANK = 0xA4
"""Keeps the seeds of ranks apart from the draws that share the recipe's seed."""
OTHERS = "others"
"""Entry of a checkpoint's states that holds those of ranks 1 and up, in order."""


def seed(recipe_seed: int, rank: int) -> None:
    """Seed them at the beginning of a run; no two ranks draw the same."""
    torch.manual_seed(int(keyed.bits(recipe_seed, _RANK, rank) >> 1) if rank else recipe_seed)


def states(device: torch.device) -> dict[str, Tensor]:
    """Return the states on the host and the device."""
    own = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(device)
    return own


def states_of_all(device: torch.device, processes: Processes) -> dict[str, Any]:
    """Return the states of rank 0, and with them those of the others; all ranks must call it."""
    own = states(device)
    if processes.size == 1:
        return own
    row = np.array([processes.rank])
    gathered = {
        name: torch.from_numpy(processes.gathered(state.numpy()[None], row, processes.size))
        for name, state in own.items()
    }
    ranks = [
        {name: rows[rank] for name, rows in gathered.items()} for rank in range(processes.size)
    ]
    return {**ranks[0], OTHERS: ranks[1:]}


def restore(saved: Mapping[str, Any], device: torch.device, rank: int = 0) -> None:
    """Put them into the states of a checkpoint, as `states_of_all` returned them.

    A rank that the checkpoint has no states of takes those of rank 0.
    """
    others = saved.get(OTHERS, ())
    own = others[rank - 1] if 0 < rank <= len(others) else saved
    # Copies: torch reads a state at the beginning of its storage, whatever part of it is meant.
    torch.set_rng_state(own["cpu"].clone())
    if device.type == "cuda" and "cuda" in own:
        torch.cuda.set_rng_state(own["cuda"].clone(), device)
