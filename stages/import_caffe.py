"""`alexrep import-caffe`: weights that Caffe trained, as a run."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import options


def command(
    weights: Annotated[Path, typer.Argument(metavar="FILE", help="A .caffemodel, or an .npz.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of the run to write.")],
    data: Annotated[Path, typer.Option("--data", help="Folder with the shards to score on.")],
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Accept layers that lack, and leave out unknown ones."
        ),
    ] = False,
    mean: Annotated[
        str | None,
        typer.Option(help=".npy, .npz, .binaryproto, or B,G,R; the data's own if not given."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Wnids in the order of the outputs, one a line; sorted if not given."),
    ] = None,
    setting: options.Settings = None,
) -> None:
    """Turn the weights of Caffe's AlexNet into a run that alexrep eval scores.

    An .npz holds conv1.weight, conv1.bias and so on to fc8.bias, in Caffe's shapes and order.
    Prepare the data with --geometry squash, as Caffe's was.

    \b
    Example: alexrep import-caffe bvlc.caffemodel --run runs/caffe --data data
    """
    from alexrep import locks, manifest
    from alexrep.runs.folder import RunFolder
    from alexrep.weights import caffe

    options.require_run_folder(run, data)
    overlaid = tuple(setting or ())
    source = caffe.survey(weights, data, mean, labels, allow_missing, overlaid)
    folder = RunFolder(run)
    record = manifest.foresee(source.plan, folder.manifest, folder.plan)
    if not options.is_finished(record, run):
        with locks.held(run):
            record = manifest.begin(source.plan, folder.manifest, folder.plan)
            record = record or caffe.write(source, folder)
    for remark in source.remarks:
        options.note(remark)
    options.say_counts(record, run)
