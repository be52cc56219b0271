"""The options of `alexrep predict` and `alexrep similar`."""

from pathlib import Path
from typing import Annotated

import typer

Images = Annotated[
    list[str],
    typer.Argument(metavar="IMAGE", help="Files, folders of them, - for standard input."),
]
Top = Annotated[int, typer.Option("--top", metavar="N", min=1, help="Classes of each image.")]
TenCrop = Annotated[
    bool, typer.Option("--ten-crop", help="Average ten patches instead of the centre one.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print a row for each class.")]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="OUT", help="Draw the answers: a .png or .svg file."),
]
Data = Annotated[Path, typer.Option("--data", metavar="DATA", help="Folder with the shards.")]
Query = Annotated[
    list[str] | None,
    typer.Option("--query", metavar="IMAGE", help="File, folder or -; may be given again."),
]
Num = Annotated[int, typer.Option("--num", metavar="N", min=1, help="Images for each.")]
Layer = Annotated[
    str | None, typer.Option(metavar="NAME", help="Layer; the last hidden one if not given.")
]
Features = Annotated[
    Path | None,
    typer.Option("--features", metavar="DIR", help="Keeps the features; RUN/features if none."),
]
