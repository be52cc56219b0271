"""`alexrep demo`: every stage in order on the demo edition, each as its own process."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import options
from .cli.subprocesses import on_one_thread, start

SIDE = 128


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for everything.")] = Path(
        "alexrep-demo"
    ),
    seed: Annotated[int | None, typer.Option(min=0, help="Short for seed, which is 1.")] = None,
    setting: options.Settings = None,
) -> None:
    """Run the whole pipeline on ten classes made from data that scikit-learn ships.

    No download: handwritten digits on photographs, in the form of ILSVRC. A few minutes
    on two processors. Killed and started again, it goes on.

    \b
    Example: alexrep demo my-demo --seed 2
    """
    from alexrep.config import overrides, recipes
    from alexrep.demo import edition

    on_one_thread()
    raw, data, run = (str(folder / name) for name in ("raw", "data", "run"))
    recipes.load("demo", settings := overrides.joined({"seed": seed}, setting or ()))
    edition.write(folder / "raw")
    start("preprocess", raw, data, "--side", str(SIDE))
    for stage in ("mean", "pca", "pack", "verify"):
        start(stage, data)
    words = (word for setting_ in settings for word in ("--set", setting_))
    start("train", data, "--run", run, "--recipe", "demo", *words)
    for split in ("val", "test"):
        for views in ([], ["--ten-crop"]):
            start("eval", run, "--data", data, "--split", split, *views)
    start("plot", run)
    _report(Path(data), Path(run))


def _report(data: Path, run: Path) -> None:
    """Print the table of errors and where things are."""
    from alexrep.evaluation import text
    from alexrep.prepare.prepared import open_prepared
    from alexrep.runs import results

    typer.echo("\n" + text.table(results.read_all(run).values()))
    bad = [f"{row['split']}/{row['name']} ({row['why']})" for row in open_prepared(data).quarantine]
    typer.echo(f"\nquarantined, counted as errors: {len(bad)}: {', '.join(bad)}")
    typer.echo(f"run:      {run}\npictures: {run}/plots")
