"""`alexrep runs list`, `show` and `diff`: what runs are and have come to."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..cli import options, printing

Root = Annotated[Path, typer.Argument(metavar="[ROOT]", help="Folder that the runs are in.")]
Csv = Annotated[bool, typer.Option("--csv", help="With settings and scores, as CSV.")]
Other = Annotated[Path, typer.Argument(metavar="OTHER", help="Another one.")]


def list_all(root: Root = Path(), as_json: options.Json = False, as_csv: Csv = False) -> None:
    """Print a line for each run at or below ROOT: recipe, state, best val top-1 error, note.

    \b
    Example: alexrep runs list runs
    """
    from alexrep.runs import listing, sheet

    runs = listing.find(root)
    overviews = [listing.overview(folder) for folder in runs if not as_csv]
    if as_csv:
        sheet.write(runs, sys.stdout)
    elif as_json:
        printing.say_json([asdict(overview) for overview in overviews])
    elif overviews:
        printing.say_overviews(overviews)
    else:
        options.note(f"{root}: no runs")


def show(run: options.Run, as_json: options.Json = False) -> None:
    """Print a run's recipe and its departures from net 145, its last epochs and its results.

    \b
    Example: alexrep runs show runs/first
    """
    from alexrep.runs import description
    from alexrep.runs.folder import RunFolder

    described = description.describe(RunFolder(run))
    printing.say_json(asdict(described)) if as_json else printing.say_description(described)


def diff(run: options.Run, other: Other, as_json: options.Json = False) -> None:
    """Print what two runs differ in, where each departs from net 145, and their errors.

    \b
    Example: alexrep runs diff runs/first runs/second
    """
    from alexrep.runs import description
    from alexrep.runs.folder import RunFolder

    comparison = description.compare(RunFolder(run), RunFolder(other))
    printing.say_json(asdict(comparison)) if as_json else printing.say_comparison(comparison)
