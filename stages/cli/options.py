"""What the stages share: common options, and how they end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeGuard

import typer

from alexrep.errors import ConfigError, mismatch

from . import complete
from .progress import with_quarantined
from .system_errors import REFUSED

if TYPE_CHECKING:  # pydantic would take a fifth of the time of --help
    from alexrep.manifest import Manifest
    from alexrep.prepare.parts import Part

Data = Annotated[Path, typer.Argument(metavar="DATA", help="Folder made by alexrep preprocess.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder made by alexrep train.")]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=1024, help="Processes or threads; all processors if not given."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "-j",
        "--workers",
        metavar="N",
        min=1,
        max=1024,
        help="Decoding threads; all processors, at most 8, if not given.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
PartOption = Annotated[
    str | None,
    typer.Option(
        "--part", metavar="I/N", help="I from 0: every N-th unit; from Slurm's array if not given."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Field of the recipe, see alexrep recipes --fields; may be given again.",
        autocompletion=complete.settings,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:1 and so on, or mps (untried).",
        autocompletion=complete.one_of("auto", "cpu", "cuda", "mps"),
    ),
]

SPLITS = ("train", "val", "test")
"""Folders with images in a folder of originals."""
KEPT_IN_RUN = ("checkpoints", "events", "results", "features")
"""Folders in that of a run for its own files alone."""


def require(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is not one of `known`.

    Raises:
        ConfigError: If it is not.
    """
    if value not in known:
        raise ConfigError(mismatch(option, " or ".join(known), repr(value), "choose one"))


def require_apart(folder: Path, data: Path, option: str, more: tuple[str, ...] = ()) -> None:
    """Refuse to write to a folder of data itself, or to what a stage of preparation keeps there.

    Args:
        folder: The folder to write to.
        data: The folder of the data, raw or prepared.
        option: What names the folder on the command line.
        more: Names of other folders in that of the data, as SPLITS in originals.

    Raises:
        ConfigError: If it is there.
    """
    if _is_within(folder, data, ("images", "shards", "statistics", *more)):
        raise ConfigError(_not_apart(folder, data, option))


def require_run_folder(run: Path, data: Path) -> None:
    """Refuse to write a run to a folder of data, or into an exported network.

    Raises:
        ConfigError: If `--run` names one.
    """
    from alexrep.runs.folder import RunFolder

    require_apart(run, data, "--run")
    if RunFolder(run).is_exported:
        found, advice = f"the exported network {run}", "name another; --weights starts from it"
        raise ConfigError(mismatch("--run", "a folder for a run", found, advice))


def require_no_run(folder: Path, option: str) -> None:
    """Refuse to write to the folder of any run itself, or to what a run keeps in folders there.

    Args:
        folder: The folder to write to.
        option: What names the folder on the command line.

    Raises:
        ConfigError: If it is there.
    """
    from alexrep.runs.folder import RunFolder

    path = folder.resolve()
    for run in (path, *path.parents):
        if RunFolder(run).recipe.is_file() and _is_within(path, run, KEPT_IN_RUN):
            raise ConfigError(_not_apart(folder, run, option))


def _is_within(folder: Path, whole: Path, names: tuple[str, ...]) -> bool:
    """Tell whether `folder` is the folder `whole`, or lies in one of the folders `names` there."""
    path, root = folder.resolve(), whole.resolve()
    return path == root or any(path.is_relative_to(root / name) for name in names)


def _not_apart(folder: Path, whole: Path, option: str) -> str:
    return mismatch(option, f"a folder apart from {whole}", folder, "name a folder of its own")


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    typer.echo(f"alexrep: {text}", err=True)


@contextlib.contextmanager
def kept_if_allowed(path: Path) -> Iterator[None]:
    """Say so where the block may not write to the disk or the folder of `path`, and go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        advice = "what is printed was not kept"
        note(mismatch(path, "permission to write it", repr(error.strerror), advice))


def is_finished(record: Manifest | None, path: Path) -> TypeGuard[Manifest]:
    """Tell whether the stage was finished before, and if so say that there is nothing to do."""
    if record is not None:
        typer.echo(f"{path}: finished before with the same inputs and settings, nothing to do")
    return record is not None


def is_whole(
    record: Manifest | None, path: Path, folder: Path, others: Sequence[str] = ()
) -> TypeGuard[Manifest]:
    """Tell whether the stage was finished before and its outputs lie in `folder` still.

    Lost ones, and `others` that the manifest does not list, are counted on one line; the
    stage then makes these anew.
    """
    from alexrep import manifest
    from alexrep.errors import examples

    lost = [*manifest.lost(record, folder), *others] if record is not None else []
    if not lost:
        return is_finished(record, path)
    lack = f"{len(lost)} missing or of another size: {examples(lost)}"
    note(mismatch(path, "what was made before", lack, "made anew"))
    return False


def say_counts(record: Manifest, path: Path) -> None:
    """Print the counts of a finished stage on one line: train before val before test."""
    splits = ("train", "val", "test")
    names = sorted(name for name in record.counts if not name.endswith(" quarantined"))
    # A manifest that was just written has another order than one that was read.
    names.sort(key=lambda name: [not name.startswith(split) for split in splits])
    typer.echo(f"{path}: {', '.join(_counted(record, name) for name in names)}")


def _counted(record: Manifest, name: str) -> str:
    """Write a count; of images, those in quarantine are among it, as in the errors."""
    split = name.removesuffix(" images")
    num_quarantined = record.counts.get(f"{split} quarantined", 0)
    # Only a training has added them already.
    more = 0 if record.stage == "train" else num_quarantined
    return with_quarantined(record.counts[name] + more, num_quarantined, name)


def say_errors(record: Manifest | None, path: Path) -> None:
    """Print the counts and the val errors of a finished training."""
    if record is None:
        return
    say_counts(record, path)
    errors = [f"{record.details[f'val_top{k}_error']:.2%}".replace("%", " %") for k in (1, 5)]
    typer.echo(f"val, centre: top-1 error {errors[0]}, top-5 error {errors[1]}")


def leave_with(record: Manifest | None, folder: Path, as_json: bool = False) -> None:
    """Print what preprocess or shrink made; leave with exit code 3 if there is a quarantine."""
    if record is None:
        typer.echo(f"{folder}: this part is done; units of other parts are not")
        return
    from alexrep.prepare import tables

    if as_json:
        tables.write_summary(record, folder, sys.stdout)
    else:
        typer.echo(f"{folder}:\n{tables.verdict_table(record)}")
    quarantine = record.details["quarantine"]
    if isinstance(quarantine, list) and quarantine:
        for entry in quarantine[:10]:
            if isinstance(entry, dict):
                note(f"quarantined: {entry['split']}/{entry['name']}: {entry['why']}")
        if len(quarantine) > 10:
            note(f"and {len(quarantine) - 10} more, see {folder}/manifest.json")
        raise typer.Exit(3)
    raise typer.Exit


def pick_part(text: str | None) -> Part:
    """Return the part of the option, or of Slurm's array, or the whole."""
    from alexrep.prepare.parts import Part

    return Part.of(text) if text else Part.of_array(os.environ)
