"""Options of the commands that make runs of weights from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from . import complete

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A .pth, .pt, .safetensors or .caffemodel, an exported folder, or "
        "torchvision:NAME[:WEIGHTS].",
    ),
]
CaffeFile = Annotated[Path, typer.Argument(metavar="FILE", help="A .caffemodel, or an .npz.")]
Run = Annotated[Path, typer.Option("--run", help="Folder of the run to write.")]
Data = Annotated[Path, typer.Option("--data", help="Folder with the shards to score on.")]
Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Recipe of the network, where the file does not say it.",
        autocompletion=complete.recipes,
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        "-a",
        "--arch",
        metavar="NAME",
        help="Or a network of torchvision, or a recipe; alexnet is torchvision's here.",
    ),
]
File = Annotated[
    Path | None, typer.Option(help="The file of torchvision:NAME; that in the cache if not given.")
]
AllowMissing = Annotated[
    bool,
    typer.Option("--allow-missing", help="Accept layers that lack, and leave out unknown ones."),
]
CaffeMean = Annotated[
    str | None,
    typer.Option(help=".npy, .npz, .binaryproto, or B,G,R; the data's own if not given."),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Wnids in the order of the outputs, one a line; sorted if not given."),
]
