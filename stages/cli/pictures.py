"""What `alexrep plot` draws into which folder, and what it says of it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from alexrep import files, manifest
from alexrep.errors import ConfigError, mismatch
from alexrep.plots import gallery
from alexrep.runs import contents, csv_log, state
from alexrep.runs.contents import NothingToShow
from alexrep.runs.folder import RunFolder

from . import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alexrep.errors import AlexrepError
    from alexrep.manifest import Plan


def draw(runs: Sequence[Path], out: Path | None, names: Sequence[str], form: str) -> int:
    """Draw pictures, and print where they are or why there are none.

    Args:
        runs: Folders of runs, or CSV logs of other programs.
        out: Folder for the pictures; None for that of a single run.
        names: Some of `gallery.FIGURES`.
        form: "png" or "svg".

    Returns:
        The exit code: 1 if there is something to mend.

    Raises:
        ConfigError: If `out` is missing, or is among the files of a run.
        DataError: If one of the runs is none, or a log is no table.
    """
    is_alone, is_log = len(runs) == 1, runs[0].is_file()
    if out is None and (not is_alone or is_log or RunFolder(runs[0]).is_exported):
        what = "a folder for pictures of several runs, of a CSV log or of an exported network"
        raise ConfigError(mismatch("--out", what, "none", "name one"))
    folder = out or runs[0] / "plots"
    for run in runs:
        _require(run)
    options.require_no_run(folder, "--out")
    if is_alone:
        return _of_run(runs[0], folder, _drawable(runs[0], names), form)
    names_of_runs = contents.names_of(runs)
    codes = [_of_all(runs, folder, form)] if "curves" in names else []
    for run, name in zip(runs, names_of_runs, strict=True):
        codes += [_of_run(run, folder / name.replace("/", "-"), _drawable(run, names), form)]
    return max(codes, default=0)


def _drawable(run: Path, names: Sequence[str]) -> Sequence[str]:
    """Return those of some pictures that there can be: of a log its curves."""
    return [name for name in names if name == "curves"] if run.is_file() else names


def _require(run: Path) -> None:
    """Refuse what is neither a run nor a log; say what of a log is not drawn."""
    if not run.is_file():
        RunFolder(run).read_recipe()
    elif remarks := csv_log.read(run).remarks:
        options.note(f"{run}: {'; '.join(remarks)}")


def _of_all(runs: Sequence[Path], folder: Path, form: str) -> int:
    """Draw the curves of all runs in one picture."""
    files.sweep_ours(folder)
    drawn = gallery.draw_into(folder / f"curves.{form}", "comparison", runs)
    return _say({"curves": drawn})


def _of_run(run: Path, folder: Path, names: Sequence[str], form: str) -> int:
    """Draw the pictures of one run; all of them only if they are not there already."""
    if len(names) < len(gallery.FIGURES):
        return _say(gallery.draw_all(run, folder, names, form))
    plan = _plan(run, form)
    if gallery.is_drawn(plan, folder):
        typer.echo(f"{folder}: drawn before from the same numbers, nothing to do")
        return 0
    drawn = gallery.draw_all(run, folder, names, form)
    code = _say(drawn)
    if code == 0:
        paths = [path for path in drawn.values() if isinstance(path, Path)]
        made = {path.name: files.sha256_file(path) for path in paths}
        manifest.finish(plan, folder / manifest.NAME, {"pictures": len(made)}, made)
    return code


def _plan(run: Path, form: str) -> Plan:
    settings: dict[str, Any] = {
        "matplotlib": version("matplotlib"),
        "format": form,
        "pictures": list(gallery.FIGURES),
    }
    return manifest.Plan(stage="plot", settings=settings, inputs=state.digests(RunFolder(run)))


def _say(drawn: Mapping[str, Path | AlexrepError]) -> int:
    """Print where each picture is, then why there is none of others; return the exit code."""
    code, lacking = 0, dict[str, list[str]]()
    for name, outcome in drawn.items():
        if isinstance(outcome, NothingToShow):
            lacking.setdefault(str(outcome), []).append(name)
            continue
        is_fault = not isinstance(outcome, Path)
        (options.note if is_fault else typer.echo)(f"{name}: {outcome}")
        code = max(code, int(is_fault))
    for why, names in lacking.items():
        typer.echo(f"not drawn: {', '.join(names)} ({why})")
    return code


def say_left_out(missing: Mapping[str, AlexrepError]) -> bool:
    """Say what a report lacks, the parts that lack the same thing together.

    Args:
        missing: What kept each part out, by the part's name.

    Returns:
        Whether there is something to mend.
    """
    for text in dict.fromkeys(map(str, missing.values())):
        parts = [part for part, error in missing.items() if str(error) == text]
        is_plain = all(isinstance(missing[part], NothingToShow) for part in parts)
        (typer.echo if is_plain else options.note)(f"left out: {'; '.join(parts)}: {text}")
    return not all(isinstance(error, NothingToShow) for error in missing.values())
