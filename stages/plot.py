"""`alexrep plot`: the pictures of a run."""

import typer

from . import options


def command(run: options.Run) -> None:
    """Draw every picture that a run has the numbers for: RUN/plots.

    Errors and losses, the first layer's kernels, the mean image, the colour axes, and
    after alexrep eval a sheet of images with their likeliest classes.

    \b
    Example: alexrep plot runs/first
    """
    from alexrep import files
    from alexrep.plots import gallery
    from alexrep.runs.folder import RunFolder

    folder = RunFolder(run)
    folder.read_recipe()
    with files.locked(run):
        drawn = gallery.draw_all(run, run / "plots")
    for name, outcome in drawn.items():
        typer.echo(f"{name}: {outcome}")
