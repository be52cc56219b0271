"""Options of `alexrep train`: the recipe and its fields, by the names of other programs, too."""

from pathlib import Path
from typing import Annotated

import typer

from . import complete

Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="Name of a recipe, or a TOML file; one is made for the data if none is named.",
        autocompletion=complete.recipes,
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        "-a",
        "--arch",
        metavar="NAME",
        help="Network to make a recipe of: a recipe's name, or a network of torchvision; alexnet "
        "is that of 2012, alexnet-torchvision torchvision's.",
        autocompletion=complete.recipes,
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Folder of the run, gone on with if begun; runs/RECIPE-TIME if not given.",
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Short for schedule.epochs.")]
BatchSize = Annotated[
    int | None, typer.Option("-b", "--batch-size", min=1, help="Short for feed.batch_size.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--lr",
        "--learning-rate",
        help="First learning rate of weights; all others are changed in proportion.",
    ),
]
Momentum = Annotated[float | None, typer.Option(help="Short for optimiser.momentum.")]
WeightDecay = Annotated[
    float | None,
    typer.Option(
        "--wd", "--weightdecay", "--weight-decay", help="Short for optimiser.weight_decay."
    ),
]
PrintFreq = Annotated[
    int | None,
    typer.Option("--print-freq", metavar="STEPS", min=1, help="Short for log.every_steps."),
]
Seed = Annotated[int | None, typer.Option(help="Short for seed.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "-p",
        "--pretrained",
        "--weights",
        metavar="SOURCE",
        help="Run, checkpoint, or what alexrep import takes, to start from: start.weights.",
    ),
]
Resume = Annotated[
    str,
    typer.Option(
        "--resume",
        metavar="MODE",
        autocompletion=complete.one_of("auto", "never", "must"),
        help="auto: go on if begun; never: only begin; must: only go on; or a checkpoint's path.",
    ),
]
ResumeLast = Annotated[
    Path | None,
    typer.Option(
        "--resume-last", metavar="FOLDER", help="Go on with the newest run below a folder."
    ),
]
Evaluate = Annotated[
    bool, typer.Option("-e", "--evaluate", help="Only score the run, as alexrep eval does.")
]
CopyTo = Annotated[
    Path | None,
    typer.Option(
        "--copy-to",
        metavar="FOLDER",
        help="Copy the shards to this machine's own disk first, and train on the copy.",
    ),
]
KeepCopy = Annotated[
    bool, typer.Option("--keep-copy", help="Leave that copy for a later training.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="A few steps, and what a run would take; write nothing.")
]
Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="TRACE.json",
        help="Trace 20 steps into a file and print where their time goes; train nothing.",
    ),
]
