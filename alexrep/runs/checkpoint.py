"""Checkpoints: plain data that loads with weights_only=True, whole or absent.

A checkpoint is a table: `state_dict`, `epoch`, `step`, `config` (the recipe), `classes`,
`inputs` (mean image, colour axes), `best`; and, where a run can go on from it, what
`RESUME_ONLY` names. There is no `scaler`: no precision on offer scales its losses.
"""

import contextlib
import hashlib
import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from alexrep import files, system
from alexrep.errors import DataError, mismatch
from alexrep.runs.folder import RunFolder

FORMAT = 2
"""2: with the conditions that a checkpoint was computed under."""
RESUME_ONLY = ("optimizer", "average", "sampler", "rng", "conditions", "log_size")
"""Needed to resume only: velocities, averages, position, random states, conditions, log size."""
MAGIC = b"PK"
"""A checkpoint is a zip archive, and begins as one."""
STATES = ("state_dict", "average")
"""Entries that are state dicts."""
FAULTS = (
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, OverflowError),
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What reading a damaged file can raise."""
INSTEAD = {
    "last.pt": "train again, which goes on from the one before it, or name --checkpoint best",
    "best.pt": "name --checkpoint last",
}
"""What to do about a damaged checkpoint; training again does not bring the best one back."""


class FormatError(DataError):
    """A checkpoint has another format version: sound, but not readable by this version."""


@dataclass(frozen=True)
class Found:
    """The newest whole checkpoint of a run, and the faults of newer ones."""

    path: Path
    content: dict[str, Any]
    faults: tuple[str, ...]
    """One line about each newer one that is damaged."""


def save(path: Path, content: Mapping[str, Any], check: Callable[[], None] = files.nothing) -> None:
    """Write a checkpoint, whole or not at all; see `files.whole`."""
    files.write_bytes(path, pack(content), check)


def pack(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a checkpoint, without the prefixes of wrappers in parameter names.

    Packed in memory, since torch turns a full disk into a RuntimeError without a file name.
    """
    stream = io.BytesIO()
    torch.save({"format_version": FORMAT, **_bare(content)}, stream)
    return stream.getvalue()


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, checking every byte against the crc32 in the file.

    Parameter names lose the prefixes of wrappers (data parallel, compiled).

    Raises:
        FormatError: If it is of another format.
        DataError: If it is missing or damaged.
    """
    if not path.is_file():
        advice = "name a run with a whole checkpoint"
        raise DataError(mismatch(path, "a checkpoint", "no file", advice))
    advice = INSTEAD.get(path.name, "name another checkpoint")
    try:
        content = _load(path)
    except pickle.UnpicklingError:
        raise DataError(mismatch(path, "plain data", "other objects", advice)) from None
    except FAULTS as error:
        system.require_sound_disk(error, path)
        files.sha256_file(path)  # torch hides the error of a disk, which says so itself here
        raise DataError(mismatch(path, "a whole checkpoint", fault(path, error), advice)) from None
    if not isinstance(content, dict) or not isinstance(content.get("format_version"), int):
        raise DataError(mismatch(path, "a checkpoint of alexrep", "something else", advice))
    if content["format_version"] != FORMAT:
        found = f"format {content['format_version']}"
        advice = "use the version of alexrep that wrote it, or train again"
        raise FormatError(mismatch(path, f"format {FORMAT}", found, advice))
    return _bare(content)


def fault(path: Path, error: Exception) -> str:
    """Say what is wrong with a file that cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return "a file of another kind"
    if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
        return "one that was cut short"  # what stands at the end of an archive is not there
    # A damaged file may put anything into the text.
    said = "".join(letter if letter.isprintable() else "?" for letter in str(error))
    return " ".join(said.split())[:120] or type(error).__name__


def newest(folder: RunFolder) -> Found | None:
    """Read the newest whole checkpoint that a run can go on from; None if there is none at all.

    Raises:
        FormatError: If a newer one than the newest whole one is of another format.
        DataError: If there are some, but none is whole.
    """
    faults: list[str] = []
    for path in folder.resumable():
        try:
            return Found(path, load(path), tuple(faults))
        except FormatError:
            raise
        except DataError as error:
            faults.append(str(error).rpartition(";")[0])
    if faults:
        found = f"{len(faults)} damaged: {faults[0]}"
        advice = "put a copy of one back, or name another folder to train anew"
        raise DataError(mismatch(folder.checkpoints, "a whole checkpoint", found, advice))
    return None


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint is undamaged, whatever its format version."""
    try:
        load(path)
    except FormatError:
        return True
    except DataError:
        return False
    return True


def is_ours(path: Path) -> bool:
    """Return whether a file is a checkpoint of alexrep, sound or not readable by this version.

    A damaged one is none.
    """
    try:
        content = _load(path)
    except (pickle.UnpicklingError, *FAULTS) as error:
        system.require_sound_disk(error, path)
        return False
    return isinstance(content, dict) and isinstance(content.get("format_version"), int)


def bare_name(name: str) -> str:
    """Remove the prefixes of DistributedDataParallel and torch.compile from a parameter name."""
    parts = [part for part in name.split(".") if part != "_orig_mod"]
    while parts[0] == "module" and len(parts) > 1:
        del parts[0]
    return ".".join(parts)


def _bare(content: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a checkpoint with bare parameter names."""
    return {
        key: {bare_name(name): tensor for name, tensor in value.items()}
        if key in STATES and isinstance(value, Mapping)
        else value
        for key, value in content.items()
    }


def _load(path: Path) -> object:
    # Opened once: a training may put another checkpoint in its place meanwhile.
    with path.open("rb") as stream:
        require_sound(stream)
        stream.seek(0)
        return torch.load(stream, map_location="cpu", weights_only=True)


def require_sound(stream: BinaryIO) -> None:
    """Compare every byte of an archive with its crc32, as torch.load does not.

    A changed bit would become another weight.

    Raises:
        BadZipFile: If one differs, or the archive was cut short.
    """
    with zipfile.ZipFile(stream) as archive:
        spoilt = archive.testzip()
    if spoilt is not None:
        raise zipfile.BadZipFile(f"another crc32 of {spoilt}")


def lay(state: Mapping[str, Any], model: nn.Module) -> None:
    """Give a network the parameters and buffers of a state dict, by the same names.

    The versions of its layers are the model's own: plain data has none, and MNASNet of
    torchvision refuses a state dict without.

    Raises:
        RuntimeError: If names or shapes differ.
    """
    versioned: Any = OrderedDict(state)
    versioned._metadata = getattr(model.state_dict(), "_metadata", None)
    model.load_state_dict(versioned)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and bits of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


NUM_KEPT = 2
"""Whole checkpoints that are kept at least: the last and the one before it."""


def prunable(folder: RunFolder) -> list[Path]:
    """Return the checkpoints that may be removed, after reading every one; nothing is removed.

    The newest two whole ones stay, those of every `checkpoints.keep_epochs` epochs, and
    the best. The rest may go, and so may damaged ones; but where not one that a run can
    go on from is whole, all stay.

    Raises:
        DataError: If the folder is not a run's.
    """
    every = folder.read_recipe().checkpoints.keep_epochs
    resumable = folder.resumable()
    whole = [path for path in resumable if is_whole(path)]
    if not whole:
        return []
    epochs = {path: epoch for epoch, path in folder.epoch_checkpoints().items()}
    kept = [path for path in whole if path in epochs and every and epochs[path] % every == 0]
    best = folder.checkpoint("best")
    spoilt = [best] if best.is_file() and not is_whole(best) else []
    return [path for path in resumable if path not in (*whole[:NUM_KEPT], *kept)] + spoilt
