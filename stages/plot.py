"""`alexrep plot`: the pictures of a run, or of several."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import complete, options

PICTURES = (
    "curves, kernels, predictions, mean-image, colour-axes, confusion, class-errors, "
    "calibration, views, augmentations, network, speed"
)


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folders made by alexrep train; for curves also CSV logs of other programs.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the pictures; RUN/plots if not given, of a run alone."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Draw this picture; may be given again. {PICTURES}.",
            autocompletion=complete.pictures,
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", help="png or svg.", autocompletion=complete.one_of("png", "svg")),
    ] = "png",
) -> None:
    """Draw every picture that a run has the numbers for, also while it trains: RUN/plots.

    Several runs go to --out: their curves in one picture, curves, beside the errors of the
    paper, and the pictures of each in a folder of its own there.

    \b
    Example: alexrep plot runs/first
    """
    from alexrep.plots import gallery

    from .cli import pictures

    options.require("--format", form, ("png", "svg"))
    gallery.require(only or ())
    names = tuple(only or gallery.FIGURES)
    raise typer.Exit(pictures.draw(runs, out, names, form))
