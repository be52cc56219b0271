"""Options and arguments whose values are names, which the shell completes."""

from typing import Annotated

import typer

from . import complete

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="Name of a recipe, or a TOML file.", autocompletion=complete.recipes
    ),
]
EDITIONS = ("ilsvrc2010", "ilsvrc2012", "folder", "tiny", "demo")
Edition = Annotated[
    str | None,
    typer.Option(
        help="ilsvrc2010, ilsvrc2012, folder, tiny or demo.",
        autocompletion=complete.one_of(*EDITIONS),
    ),
]
Geometry = Annotated[
    str,
    typer.Option(
        help="crop: central square; or squash.", autocompletion=complete.one_of("crop", "squash")
    ),
]
FILTERS = ("box", "bilinear", "hamming", "bicubic", "lanczos")
Filter = Annotated[
    str,
    typer.Option(
        "--filter",
        help=f"Antialiased filter: {', '.join(FILTERS[:-1])} or {FILTERS[-1]}.",
        autocompletion=complete.one_of(*FILTERS),
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        help="folders, or tiny: that of Tiny ImageNet.",
        autocompletion=complete.one_of("folders", "tiny"),
    ),
]
Encoding = Annotated[
    str,
    typer.Option(
        help="jpeg, or raw: pixels, six times as large, nothing to decode.",
        autocompletion=complete.one_of("jpeg", "raw"),
    ),
]
Split = Annotated[str, typer.Option(help="train, val or test.", autocompletion=complete.splits)]
Splits = Annotated[
    str | None,
    typer.Option(
        "--split", help="train, val or test; all if none.", autocompletion=complete.splits
    ),
]
Checkpoint = Annotated[
    str, typer.Option(help="last or best.", autocompletion=complete.one_of("last", "best"))
]
