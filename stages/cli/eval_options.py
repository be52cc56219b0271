"""The options of `alexrep eval`."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option("--data", help="Folder with the shards.")]
Views = Annotated[
    list[str] | None,
    typer.Option("--views", help="centre, ten-crop, or both with a comma: one decoding for both."),
]
TenCrop = Annotated[bool, typer.Option("--ten-crop", help="Short for --views ten-crop.")]
Average = Annotated[
    str, typer.Option(help="What is averaged over the views: probabilities or logits.")
]
Subset = Annotated[
    bool, typer.Option("--subset", help="Only the classes that RUN and DATA both have compete.")
]
Everything = Annotated[
    bool, typer.Option("--all-probabilities", help="Keep them for all classes, as float16.")
]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="Print each class's errors and the confused pairs.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images at once.")]
