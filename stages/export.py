"""`alexrep export`: a trained network as other programs read it."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import choices, complete, options


def command(
    run: options.Run,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that is not there yet.")],
    checkpoint: choices.Checkpoint = "last",
    with_onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx, too: pixels to probabilities.")
    ] = False,
    license_id: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="ID",
            help="License of the weights, for the card.",
            autocompletion=complete.one_of("apache-2.0", "bsd-3-clause", "cc-by-4.0", "mit"),
        ),
    ] = None,
) -> None:
    """Write weights, layers, rule of input and a model card for use without alexrep.

    The card says how to load them with PyTorch alone. eval, predict, similar, plot and
    train --weights take the folder in the place of a run.

    \b
    Example: alexrep export runs/first exported --onnx
    """
    from alexrep.runs.folder import RunFolder
    from alexrep.weights import export, onnx_file

    options.require("--checkpoint", checkpoint, ("last", "best"))
    options.require_no_run(out, "OUT")
    if with_onnx:
        onnx_file.require_packages()
    job = export.survey(RunFolder(run), checkpoint, license_id, with_onnx)
    if export.find(job, out) is not None:
        typer.echo(f"{out}: exported before, the same weights and errors, nothing to do")
        return
    config = export.write(job, out)
    sizes = (f"{path.name} {path.stat().st_size / 1e3:,.0f} kB" for path in sorted(out.iterdir()))
    typer.echo(f"{out}: {', '.join(sizes)}")
    for name, errors in config.errors.items():
        shown = [100 * float(str(errors[f"top{k}_error"])) for k in (1, 5)]
        typer.echo("{}: top-1 error {:.2f} %, top-5 error {:.2f} %".format(name, *shown))
    if not config.errors:
        options.note(f"{run}: no errors in the card: run alexrep eval first to have them there")
