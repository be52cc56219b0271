"""Checkpoints: plain data that loads with weights_only=True, whole or absent."""

import hashlib
import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alexrep import files
from alexrep.errors import DataError, mismatch

FORMAT = 1
FAULTS = (RuntimeError, ValueError, LookupError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file can raise."""


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    By way of memory: torch turns a full disk into a RuntimeError that names nothing.
    """
    stream = io.BytesIO()
    torch.save({"format_version": FORMAT, **content}, stream)
    files.write_bytes(path, stream.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU; every byte is checked against the file's own crc32.

    Raises:
        DataError: If it is missing, damaged, or of another format.
    """
    advice = "name a run with a whole checkpoint"
    if not path.is_file():
        raise DataError(mismatch(path, "a checkpoint", "no file", advice))
    try:
        content = _load(path)
    except pickle.UnpicklingError:
        raise DataError(mismatch(path, "plain data", "other objects", advice)) from None
    except FAULTS as error:
        # A damaged file may put anything into the text.
        said = "".join(letter if letter.isprintable() else "?" for letter in str(error))
        found = " ".join(said.split())[:120] or type(error).__name__
        raise DataError(mismatch(path, "a whole checkpoint", found, advice)) from None
    if not isinstance(content, dict) or not isinstance(content.get("format_version"), int):
        raise DataError(mismatch(path, "a checkpoint of alexrep", "something else", advice))
    if content["format_version"] != FORMAT:
        found = f"format {content['format_version']}"
        raise DataError(mismatch(path, f"format {FORMAT}", found, advice))
    return content


def _load(path: Path) -> object:
    # torch.load compares no crc32: a changed bit would become another weight.
    with zipfile.ZipFile(path) as held:
        spoilt = held.testzip()
    if spoilt is not None:
        raise zipfile.BadZipFile(f"another crc32 of {spoilt}")
    return torch.load(path, map_location="cpu", weights_only=True)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and bits of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
