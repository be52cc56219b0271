"""The application: one command per stage, registered here and nowhere else."""

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Annotated


def _end_on_ctrl_c(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say nothing of a Ctrl-C, which the exit code tells: 130 in a shell."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


# Before the imports: they are the first thing that a Ctrl-C can meet.
sys.excepthook = _end_on_ctrl_c

import typer  # noqa: E402

from alexrep import signals  # noqa: E402

from . import (  # noqa: E402
    classes,
    demo,
    evaluate,
    export,
    extract,
    figure1,
    images,
    import_caffe,
    import_weights,
    mean,
    models,
    pack,
    pca,
    plot,
    predict,
    preprocess,
    recipes,
    report,
    runs,
    score,
    shrink,
    similar,
    summary,
    train,
    verify,
)
from .cli import terminal  # noqa: E402
from .cli.help import CONTEXT, Command  # noqa: E402
from .cli.shell import Shell  # noqa: E402

app = typer.Typer(
    cls=Shell,
    context_settings=CONTEXT,
    invoke_without_command=True,
    no_args_is_help=True,
    # Plain help and plain tracebacks: rich would take half of the time of --help.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def application(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print versions and devices, then exit.")
    ] = False,
    verbose: Annotated[  # noqa: ARG001 (Shell reads it)
        bool, typer.Option("--verbose", "-v", help="Show where an expected error came from.")
    ] = False,
    quiet: Annotated[  # noqa: ARG001 (progress.is_quiet reads it)
        bool, typer.Option("--quiet", "-q", help="No progress on stderr.")
    ] = False,
) -> None:
    """Reproduce AlexNet (2012): from the ILSVRC tars to ten-crop errors and pictures.

    Every stage can be killed and started again; finished, it does nothing. -v and -q
    may also stand after the command.

    \b
    Example: alexrep demo
    Exit codes: 0 done, 1 failure, 2 usage, 3 done with quarantined images,
    4 verification failed, 75 stopped by a signal and resumable.
    """
    if version:
        _print_versions()
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def _print_versions() -> None:
    from alexrep.runs import environment

    for name, fact in environment.describe().items():
        shown = ", ".join(map(str, fact)) if isinstance(fact, list) else fact
        typer.echo(f"{name:<14}{'none' if shown in (None, '') else shown}")


# In the order of the data's way, which is the order of --help.
COMMANDS: dict[str, Callable[..., None]] = {
    "preprocess": preprocess.command,
    "shrink": shrink.command,
    "mean": mean.command,
    "pca": pca.command,
    "pack": pack.command,
    "verify": verify.command,
    "extract": extract.command,
    "classes": classes.command,
    "images": images.command,
    "models": models.command,
    "recipes": recipes.command,
    "summary": summary.command,
    "train": train.command,
    "import": import_weights.command,
    "import-caffe": import_caffe.command,
    "eval": evaluate.command,
    "score": score.command,
    "predict": predict.command,
    "similar": similar.command,
    "plot": plot.command,
    "report": report.command,
    "export": export.command,
    "figure1": figure1.command,
    "demo": demo.command,
}
for name, command in COMMANDS.items():
    app.command(name, cls=Command, context_settings=CONTEXT)(command)
app.add_typer(runs.app, name="runs")


def run() -> None:
    """Run the application on the command line's arguments and exit."""
    terminal.outlive()
    # A notebook names a window of its own here; the commands draw into files.
    os.environ["MPLBACKEND"] = "agg"
    try:
        app(prog_name="alexrep")
    except SystemExit as left:
        signals.settle(left.code if isinstance(left.code, int) else 0)
        raise
