"""Weights in files of other programs: parameters and buffers by name.

What is read is plain data: a file that holds other Python objects is refused.
"""

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from alexrep import files, system
from alexrep.errors import DataError, mismatch
from alexrep.runs import checkpoint

WITHIN = ("state_dict", "model_state_dict", "model")
"""Entries under which checkpoints of other programs hold their weights."""
DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
"""The beginning of a file's SHA-256 at the end of its name, as torch's hub writes it."""
OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
"""Names of torchvision's DenseNets when a module's name could hold a dot."""
ADVICE = "name a state dict as .pth or .safetensors"


def read(path: Path, digest: str | None = None) -> dict[str, Tensor]:
    """Read a state dict, or a checkpoint that holds one, to the CPU.

    Names lose the prefixes of wrappers (data parallel, compiled), and old names of torchvision's
    become those of today.

    Args:
        path: What `torch.save` or safetensors wrote.
        digest: Hexadecimal digits that the file's SHA-256 begins with; None: those in its name,
            if it ends in some, not all of them decimal, as a date's are.

    Raises:
        DataError: If it is missing, damaged, of another digest, or no state dict.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise DataError(mismatch(path, "a file of weights", found, ADVICE))
    _check_digest(path, digest or _digest_in(path.name))
    is_safe = path.suffix == ".safetensors"
    content = _load_safetensors(path) if is_safe else _load_torch(path)
    state = {_name(name): tensor for name, tensor in _state_of(content, path).items()}
    if not state:
        raise DataError(mismatch(path, "a state dict", "no weights", ADVICE))
    return state


def _digest_in(name: str) -> str:
    found = DIGEST.search(name)
    return "" if found is None or found[1].isdecimal() else found[1]


def _check_digest(path: Path, wanted: str) -> None:
    digest = files.sha256_file(path)
    if not digest.startswith(wanted):
        found, advice = digest[: len(wanted)], "copy the file again"
        raise DataError(mismatch(path, f"SHA-256 {wanted}", found, advice))


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        said = " ".join(ascii(str(error))[1:-1].split())[:120]
        raise DataError(mismatch(path, "a .safetensors file", said, ADVICE)) from None


def _load_torch(path: Path) -> object:
    try:
        with path.open("rb") as stream:
            if stream.read(len(checkpoint.MAGIC)) == checkpoint.MAGIC:
                checkpoint.require_sound(stream)
            stream.seek(0)
            # Training scripts keep their options beside the weights; a namespace runs no code.
            with torch.serialization.safe_globals([argparse.Namespace]):
                return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        advice = "save the network's state_dict() instead"
        found = "pickled objects" if "GLOBAL" in str(error) else "a damaged or another file"
        raise DataError(mismatch(path, "plain weights", found, advice)) from None
    except checkpoint.FAULTS as error:
        system.require_sound_disk(error, path)
        files.sha256_file(path)  # torch hides the error of a disk, which says so itself here
        found = checkpoint.fault(path, error)
        raise DataError(mismatch(path, "a whole file of weights", found, ADVICE)) from None


def _state_of(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict that a file's content is, or that it holds."""
    within = [content.get(name) for name in WITHIN] if isinstance(content, Mapping) else []
    state = next((part for part in within if isinstance(part, Mapping)), content)
    if not isinstance(state, Mapping):
        raise DataError(mismatch(path, "a state dict", type(state).__name__, ADVICE))
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            found = f"{name!r}, {type(value).__name__}"
            raise DataError(mismatch(path, "tensors by name", found, ADVICE))
    return dict(state)


def _name(name: str) -> str:
    bare = checkpoint.bare_name(name)
    old = OLD_DENSENET.fullmatch(bare)
    return bare if old is None else old[1] + old[2]
