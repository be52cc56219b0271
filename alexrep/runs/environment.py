"""The environment of a run: versions, machine, devices."""

import hashlib
import importlib.util
import platform
import subprocess
from importlib import metadata
from pathlib import Path

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


def code() -> dict[str, JsonValue]:
    """Return which code of alexrep this is: the commit, and a digest of its source files.

    The commit is None outside of a git checkout; a `+` says that files were changed since. The
    digest is the same for a checkout and for what is installed from it.
    """
    package, digest = _folder("alexrep"), hashlib.sha256()
    for name in ("alexrep", "alexrep.plots", "alexrep.stages"):
        folder = _folder(name)
        for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".toml"}):
            inside = path.relative_to(folder)
            # Installed, the two others lie in the package.
            if name != "alexrep" or inside.parts[0] not in {"plots", "stages"}:
                digest.update(f"{name}/{inside.as_posix()}\0".encode() + path.read_bytes())
    return {"commit": _commit(package), "source": digest.hexdigest()}


def _folder(package: str) -> Path:
    """Return the folder of a package, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, "a package of this project"  # noqa: S101, PT018
    return Path(spec.submodule_search_locations[0])


def _commit(folder: Path) -> str | None:
    """Return the commit of the checkout that `folder` lies in, None if it lies in none."""
    # An installation may lie in the checkout of another project.
    if not _git(folder, "ls-files", "__init__.py"):
        return None
    changed = _git(folder, "status", "--porcelain")
    return _git(folder, "rev-parse", "HEAD") + "+" * bool(changed)


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
