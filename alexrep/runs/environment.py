"""The environment of a run: versions, machine, devices."""

import platform
from importlib import metadata

import PIL
import torch
from pydantic import JsonValue

from alexrep import __version__
from alexrep.errors import DataError, mismatch
from alexrep.pool import available

FLAVOURS = ("pillow", "pillow-simd")
"""The two distributions that install the same folder PIL."""


def describe() -> dict[str, JsonValue]:
    """Return the versions, the machine and the devices that a run's numbers depend on.

    Raises:
        DataError: If not exactly one of pillow and pillow-simd is installed.
    """
    return {
        "alexrep": __version__,
        "python": platform.python_version(),
        "pillow": " ".join(pillow_flavour()),
        "torch": str(torch.__version__),
        **{name: metadata.version(name) for name in ("torchvision", "h5py", "numpy")},
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "machine": platform.machine(),
        "cpus": available(),
        "torch_threads": torch.get_num_threads(),
        "cuda_devices": [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ],
    }


def pillow_flavour() -> tuple[str, str]:
    """Return which of pillow and pillow-simd is live, and its version.

    Raises:
        DataError: If files of both are there, or the live one is neither.
    """
    versions = {name: _version(name) for name in FLAVOURS}
    installed = {name: version for name, version in versions.items() if version is not None}
    live = PIL.__version__
    if len(installed) != 1 or live not in installed.values():
        listed = " and ".join(f"{name} {installed[name]}" for name in installed) or "neither"
        where, wanted = f"PIL {live}", "one of pillow and pillow-simd, and its files only"
        raise DataError(mismatch(where, wanted, listed, "run make install again"))
    return next(iter(installed.items()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
