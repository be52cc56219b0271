"""Checkpoints: plain data that loads with weights_only=True, whole or absent."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexrep import files
from alexrep.errors import DataError, mismatch

FORMAT = 1


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    with files.whole(path) as part:
        torch.save({"format_version": FORMAT, **content}, part)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Raises:
        DataError: If it is missing, damaged, or of another format.
    """
    advice = "name a run with a whole checkpoint"
    if not path.is_file():
        raise DataError(mismatch(path, "a checkpoint", "no file", advice))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content["format_version"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, TypeError) as error:
        found = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(mismatch(path, "a whole checkpoint", found, advice)) from None
    if version != FORMAT:
        raise DataError(mismatch(path, f"format {FORMAT}", f"format {version}", advice))
    return dict(content)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and bits of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
