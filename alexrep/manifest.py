"""The manifest of a finished stage, and the plan with which an unfinished one is resumed.

A plan is what was requested: settings, seed, inputs. It is written first, so that a
killed stage can only be resumed as it began. A manifest is the plan and its outcome;
it is written last. Neither holds times, host names or worker counts: equal work
gives equal files.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from alexrep import __version__, seal
from alexrep.errors import ManifestError, mismatch
from alexrep.files import nothing, read_bytes, sha256_file, to_json, write_bytes

NAME = "manifest.json"
DIGEST = re.compile("[0-9a-f]{64}")
"""A SHA-256, as inputs are named by."""
SEALED = ("preprocess", "mean", "pca", "pack", "train")
"""Stages whose manifests others trust: each has its digest beside it."""
LIBRARIES = ("h5py", "numpy", "pillow", "pillow-simd", "scipy", "simplejpeg", "torch")


class Plan(BaseModel):
    """What a stage was asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    """The stage's name, as on the command line."""
    format: int = 1
    """Version of this record."""
    settings: dict[str, JsonValue]
    """Everything chosen that changes the output, decoder and resizer versions included."""
    seed: int | None = None
    """Seed of every random choice; None where there is none."""
    inputs: dict[str, str]
    """Digest of each input, by its name."""
    defaults: dict[str, JsonValue] = Field(default={}, exclude=True)
    """Values of settings that plans of older versions lack; not written."""
    unused: tuple[str, ...] = Field(default=(), exclude=True)
    """Inputs that older versions recorded although nothing depends on them; not written."""


class Manifest(Plan):
    """What a stage was asked to do, and what it made."""

    program: str = __version__
    """Version of alexrep that wrote it; recorded, not compared."""
    libraries: dict[str, str]
    """Versions of the libraries at work; recorded, not compared."""
    counts: dict[str, int]
    """Counts of what was made."""
    outputs: dict[str, str]
    """SHA-256 of each file made, by its path relative to the manifest's folder."""
    sizes: dict[str, int] = {}
    """Size in bytes of each file whose loss makes the stage unfinished again; see `lost`."""
    details: dict[str, JsonValue] = {}
    """Facts that later stages need."""


Record = TypeVar("Record", bound=Plan)


def libraries() -> dict[str, str]:
    """Return the versions of the installed libraries that touch the data."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def begin(
    plan: Plan, manifest: Path, plan_file: Path, advice: str = "", remarks: Collection[str] = ()
) -> Manifest | None:
    """Compare `plan` with the one on disk, if any, and record it.

    Args:
        plan: What is requested.
        manifest: Where the manifest is or will be.
        plan_file: Where the plan is or will be.
        advice: What to do if they differ; by default, to remove the manifest's folder.
        remarks: Names of settings that do not affect the output: recorded, not compared.

    Returns:
        The manifest if the stage is finished as planned; None if there is work to do.

    Raises:
        ManifestError: If the output belongs to another plan; the difference is named.
    """
    finished = foresee(plan, manifest, plan_file, advice, remarks)
    if finished is None and not plan_file.exists():
        write_bytes(plan_file, to_json(plan.model_dump()).encode())
    return finished


def foresee(
    plan: Plan, manifest: Path, plan_file: Path, advice: str = "", remarks: Collection[str] = ()
) -> Manifest | None:
    """Do as `begin` does, but write nothing."""
    advice = advice or f"ask for the same, or remove {manifest.parent} to have it made anew"
    if manifest.exists():
        finished = read(manifest, plan.stage)
        _compare(plan, finished, manifest, advice, remarks)
        return finished
    if plan_file.exists():
        _compare(plan, _load(Plan, plan_file), plan_file, advice, remarks)
    return None


def planned(manifest: Path, plan_file: Path) -> Plan | None:
    """Return the plan on disk, finished or not; None if there is none.

    Raises:
        ManifestError: If it is unreadable, or not what its seal says.
    """
    if manifest.exists():
        content = read_bytes(manifest)
        record = _load(Manifest, manifest, content)
        seal.require(manifest, content, record.stage)
        return record
    return _load(Plan, plan_file) if plan_file.exists() else None


def finish(
    plan: Plan,
    manifest: Path,
    counts: dict[str, int],
    outputs: dict[str, str],
    details: dict[str, JsonValue] | None = None,
    check: Callable[[], None] = nothing,
    sizes: dict[str, int] | None = None,
) -> Manifest:
    """Write the manifest, by which later stages recognise the output as finished.

    An existing one that differs only in the versions used is kept: later stages know it by
    its digest, which must not change when lost outputs are made again.
    """
    record = Manifest(
        **plan.model_dump(),
        libraries=libraries(),
        counts=counts,
        outputs=outputs,
        sizes=sizes or {},
        details=details or {},
    )
    if manifest.exists():
        existing = read(manifest, plan.stage)
        versions = {"program": record.program, "libraries": record.libraries}
        if existing.model_copy(update=versions) == record:
            if plan.stage in SEALED and not seal.is_sealed(manifest):
                seal.write(manifest, read_bytes(manifest))
            return existing
    content = to_json(record.model_dump()).encode()
    if plan.stage in SEALED:
        manifest.unlink(missing_ok=True)  # killed between the two, the stage is unfinished
        seal.write(manifest, content)
    write_bytes(manifest, content, check)
    return record


def read(manifest: Path, stage: str) -> Manifest:
    """Read the manifest of a finished stage.

    Raises:
        ManifestError: If it is missing, unreadable, of another stage, or not what its seal says.
    """
    if not manifest.exists():
        raise ManifestError(_missing(manifest, stage))
    content = read_bytes(manifest)
    record = _load(Manifest, manifest, content)
    if record.stage != stage:
        raise ManifestError(_of_another_stage(manifest, stage, record.stage))
    seal.require(manifest, content, stage)
    return record


def _missing(manifest: Path, stage: str) -> str:
    """Say what is missing; in the place of prepared data a run or raw images are called so."""
    nothing = mismatch(manifest, f"a finished {stage}", "no manifest", f"run alexrep {stage} first")
    if manifest.name.startswith(stage):
        data = manifest.parent
    elif manifest.parent.name in ("images", "shards"):
        data = manifest.parent.parent
    else:
        return nothing
    wanted, other = "a folder of prepared data", "name the one that alexrep preprocess wrote"
    if not data.is_dir():
        return mismatch(data, wanted, "a file" if data.exists() else "no such folder", other)
    if (data / "recipe.toml").is_file():
        return mismatch(data, wanted, "a run", other)
    if (data / "train").is_dir() or list(data.glob("*.tar")):
        return mismatch(data, wanted, "raw images", _how_to_prepare(data))
    return nothing


def _how_to_prepare(raw: Path) -> str:
    edition = "" if list(raw.glob("*.tar")) else " --edition folder"
    first = f"alexrep preprocess {raw} DATA{edition}"
    return f"run {first}, then alexrep mean DATA, alexrep pca DATA and alexrep pack DATA"


def sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the size in bytes of each file in `names`, relative to the folder."""
    return {name: (folder / name).stat().st_size for name in names}


def lost(record: Manifest, folder: Path) -> list[str]:
    """Return the names of outputs that are missing or of another size; no file is read.

    Args:
        record: The manifest of a finished stage.
        folder: The manifest's folder.
    """
    return [name for name in record.sizes if not is_held(folder, name, record.sizes)]


def is_held(folder: Path, name: str, sizes: Mapping[str, int]) -> bool:
    """Tell whether a file exists and has its recorded size, or any size if none is recorded."""
    try:
        size = (folder / name).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return False
    return sizes.get(name, size) == size


def digest(manifest: Path) -> str:
    """Return a manifest's digest, by which later stages name their input."""
    return sha256_file(manifest)


def _load(kind: type[Record], path: Path, content: bytes | None = None) -> Record:
    try:
        return kind.model_validate_json(read_bytes(path) if content is None else content)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the text"
        advice = "remove it and what it lists, and run the stage again"
        raise ManifestError(mismatch(path, "a manifest", f"a fault at {where}", advice)) from None


def _compare(plan: Plan, existing: Plan, path: Path, advice: str, remarks: Collection[str]) -> None:
    if existing.stage != plan.stage:
        raise ManifestError(_of_another_stage(path, plan.stage, existing.stage))
    wanted = _flat_fields(plan, plan.defaults)
    recorded = _flat_fields(existing, plan.defaults)
    ignored = {f"settings.{name}" for name in remarks} | {f"inputs.{name}" for name in plan.unused}
    compared = (wanted.keys() | recorded.keys()) - ignored
    # A record of another format may have other fields.
    for key in sorted(compared, key=lambda key: (key != "format", key)):
        if wanted.get(key) != recorded.get(key):
            expected = f"{key} = {_shown(wanted.get(key))}"
            raise ManifestError(mismatch(path, expected, _shown(recorded.get(key)), advice))


def _shown(value: object) -> str:
    """Show a field; of a digest, as many digits as tell two apart."""
    is_digest = isinstance(value, str) and DIGEST.fullmatch(value)
    return repr(value[:12] if isinstance(value, str) and is_digest else value)


def _of_another_stage(path: Path, wanted: str, found: str) -> str:
    """Return the message where a folder belongs to another stage, whose work must not be lost."""
    return mismatch(path, f"stage {wanted!r}", repr(found), "name another folder")


def _flat_fields(plan: Plan, defaults: Mapping[str, JsonValue]) -> dict[str, object]:
    """Return the compared fields of a stage, nested ones under dotted names."""
    flat: dict[str, object] = {"format": plan.format, "seed": plan.seed}
    flat |= {f"settings.{key}": value for key, value in {**defaults, **plan.settings}.items()}
    flat |= {f"inputs.{key}": value for key, value in plan.inputs.items()}
    return flat
