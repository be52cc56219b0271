"""The options of `alexrep eval`."""

from pathlib import Path
from typing import Annotated

import typer

from . import complete
from .choices import EDITIONS

Data = Annotated[Path | None, typer.Option("--data", help="Folder with the shards.")]
Original = Annotated[
    Path | None,
    typer.Option(
        metavar="RAW",
        help="Tars and devkit, or class folders, in place of --data: each image is prepared as the "
        "makers of the run's weights do, and nothing is written of it.",
    ),
]
Edition = Annotated[
    str | None,
    typer.Option(
        help="Of --original: ilsvrc2010, ilsvrc2012, folder, tiny or demo.",
        autocompletion=complete.one_of(*EDITIONS),
    ),
]
Partial = Annotated[
    bool,
    typer.Option("--partial", help="Of --original: accept fewer images than the edition has."),
]
Views = Annotated[
    list[str] | None,
    typer.Option(
        "--views",
        help="centre, ten-crop, or both with a comma: one decoding for both.",
        autocompletion=complete.one_of("centre", "ten-crop", "centre,ten-crop"),
    ),
]
TenCrop = Annotated[bool, typer.Option("--ten-crop", help="Short for --views ten-crop.")]
Average = Annotated[
    str,
    typer.Option(
        help="What is averaged over the views: probabilities or logits.",
        autocompletion=complete.one_of("probabilities", "logits"),
    ),
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
Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="Folders made by alexrep train; several are averaged."),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="W",
        help="Of several runs: search, for the likeliest on val; or numbers, as 0.2,0.8.",
        autocompletion=complete.one_of("search"),
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Ground truth: a file of ids, or ReaL's JSON list of labels an image."),
]
Submission = Annotated[
    Path | None, typer.Option(help="Write the five likeliest ids of each image to this file.")
]
