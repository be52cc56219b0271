"""`alexrep report`: one HTML page about a run, or several."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders made by alexrep train.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="The runs' data, to report counts, repairs and quarantine."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page; RUN/report.html if not given. Needed for several."),
    ] = None,
    photographs: Annotated[
        bool,
        typer.Option(
            "--photographs/--no-photographs",
            help="Show images of the data set, or no such picture: for a page to publish.",
        ),
    ] = True,
) -> None:
    """Write a page with all that is known of a run, to be read in a browser: RUN/report.html.

    The paper's tables beside the run's errors, the known causes of a gap, all pictures,
    classes and what they are taken for, images, environment and commands. The page is one
    file, needs no network, and is complete without JavaScript.

    \b
    Example: alexrep report runs/first --data data
    """
    from alexrep.errors import ConfigError, mismatch
    from alexrep.plots.report import page
    from alexrep.prepare.prepared import open_prepared

    from .cli import pictures

    if out is None and len(runs) > 1:
        advice = "name the page, as in --out report.html"
        raise ConfigError(mismatch("--out", f"a file for {len(runs)} runs", "none", advice))
    path = out or runs[0] / "report.html"
    # So that no file of a run can be written over.
    if path.suffix != ".html":
        raise ConfigError(mismatch("--out", "a name that ends in .html", path, "name the page so"))
    prepared = None if data is None else open_prepared(data)
    missing = page.write(runs, path, prepared, photographs=photographs)
    has_fault = pictures.say_left_out(missing)
    typer.echo(path)
    raise typer.Exit(1 if has_fault else 0)
