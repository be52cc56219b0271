"""`alexrep plot`: the pictures of a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .cli import options


def command(
    run: options.Run,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the pictures; RUN/plots if not given.")
    ] = None,
) -> None:
    """Draw every picture that a run has the numbers for, also while it trains: RUN/plots.

    Errors and losses, the first layer's kernels, the mean image, the colour axes, and
    after alexrep eval a sheet of images with their likeliest classes.

    \b
    Example: alexrep plot runs/first
    """
    from importlib.metadata import version

    from alexrep import files, manifest
    from alexrep.plots import gallery
    from alexrep.runs import state
    from alexrep.runs.contents import NothingToShow
    from alexrep.runs.folder import RunFolder

    folder, out = RunFolder(run), out or run / "plots"
    folder.read_recipe()
    options.require_no_run(out, "--out")
    versions: Any = {"matplotlib": version("matplotlib")}
    plan = manifest.Plan(stage="plot", settings=versions, inputs=state.digests(folder))
    if gallery.is_drawn(plan, out):
        typer.echo(f"{out}: drawn before from the same numbers, nothing to do")
        return
    drawn = gallery.draw_all(run, out)
    faults = [error for error in drawn.values() if not isinstance(error, Path | NothingToShow)]
    made = {path.name: files.sha256_file(path) for path in drawn.values() if isinstance(path, Path)}
    if not faults:
        manifest.finish(plan, out / manifest.NAME, {"pictures": len(made)}, made)
    for name, outcome in drawn.items():
        (options.note if outcome in faults else typer.echo)(f"{name}: {outcome}")
    raise typer.Exit(1 if faults else 0)
