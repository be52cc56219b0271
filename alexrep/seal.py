"""The seal of a manifest: its SHA-256 in a small file beside it, which `sha256sum -c` reads.

A manifest vouches for every file that it lists; the seal vouches for the manifest. It lies apart,
since shards name the prepared images by the digest of their manifest, which must stay the same.
Folders that versions before made have no seal.
"""

from pathlib import Path

from alexrep import files
from alexrep.errors import ManifestError, mismatch

SUFFIX = ".sha256"
_DIGITS = 64


def path_of(manifest: Path) -> Path:
    """Return where a manifest's seal lies: `manifest.sha256` beside `manifest.json`."""
    return manifest.with_suffix(SUFFIX)


def write(manifest: Path, content: bytes) -> None:
    """Write the seal of a manifest of this content; it goes before the manifest."""
    line = f"{files.sha256_bytes(content)}  {manifest.name}\n"
    files.write_bytes(path_of(manifest), line.encode())


def is_sealed(manifest: Path) -> bool:
    """Tell whether a manifest has a seal."""
    return path_of(manifest).exists()


def require(manifest: Path, content: bytes, stage: str) -> None:
    """Compare a manifest's bytes with its seal; one without is taken as it is.

    Raises:
        ManifestError: If they differ.
    """
    try:
        sealed = files.read_bytes(path_of(manifest))
    except FileNotFoundError:
        return
    if sealed[:_DIGITS] != files.sha256_bytes(content).encode():
        wanted = f"the manifest of {path_of(manifest).name}"
        advice = f"bring back the one of before, or remove both and run alexrep {stage} again"
        raise ManifestError(mismatch(manifest, wanted, "another", advice))
