"""`alexrep runs copy`, `note` and `csv`: what adds to run folders."""

from pathlib import Path
from typing import Annotated

import typer

from ..cli import options

New = Annotated[Path, typer.Argument(metavar="NEW", help="Folder that is not there yet.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="What to remember.")]


def copy(run: options.Run, new: New) -> None:
    """Copy a run and its checkpoints to a new folder, to go on from there with other rates.

    \b
    Example: alexrep runs copy runs/first runs/lower
    """
    from alexrep.runs import copying
    from alexrep.runs.folder import RunFolder

    names = copying.copy(RunFolder(run), RunFolder(new))
    typer.echo(f"{new}: {len(names)} files of {run}")
    if RunFolder(new).log.exists():  # else it was imported, and is for eval only
        recipe = f"{new}/recipe.toml"
        typer.echo(f"go on with: alexrep train DATA --run {new} --recipe {recipe} --set ...")


def note(run: options.Run, text: Text) -> None:
    """Add a dated line to RUN/notes.txt, which list and show print.

    \b
    Example: alexrep runs note runs/first "lowered the rate by hand at 40"
    """
    from datetime import UTC, datetime

    from alexrep.runs import notes
    from alexrep.runs.folder import RunFolder

    typer.echo(notes.append(RunFolder(run), text, datetime.now(UTC).date()))


def export(run: options.Run) -> None:
    """Write RUN/log.csv: a row for each finished epoch.

    \b
    Example: alexrep runs csv runs/first
    """
    from alexrep.runs import log, table
    from alexrep.runs.folder import RunFolder

    folder = RunFolder(run)
    folder.read_recipe()
    log.read(folder.log)  # an imported run has none
    typer.echo(table.write(folder))
