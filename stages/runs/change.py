"""`alexrep runs new`, `copy`, `note` and `csv`: what adds recipes and to run folders."""

from pathlib import Path
from typing import Annotated

import typer

from ..cli import options

New = Annotated[Path, typer.Argument(metavar="NEW", help="Folder that is not there yet.")]
Base = Annotated[str, typer.Argument(metavar="BASE", help="Recipe's name, or a TOML file.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the versions.")]
Folder = Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Where they are.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="What to remember.")]


def new(base: Base, name: Name, folder: Folder = Path()) -> None:
    """Write the next version of a recipe to NAME-v01.toml, NAME-v02.toml and so on.

    BASE is a recipe's name, a TOML file, or a run's recipe.toml. Nothing is overwritten.
    \b
    Example: alexrep runs new alexnet-2012 wider
    """
    from alexrep.config import versions

    path = versions.make(base, name, folder)
    typer.echo(f"{path}: change it, then alexrep train DATA --run runs/{path.stem} --recipe {path}")


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
