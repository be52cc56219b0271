"""`alexrep figure1`: ReLU against tanh, each at its own best rate."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import options
from .cli.figure1_runs import OWN, TARGET, Runs

RATES = (0.002, 0.008, 0.004, 0.001, 0.016)
"""Rates of weights that each net tries; with --quick the first two."""
QUICK = ("limits.batches=20",)
"""2,560 images."""


def command(
    data: options.Data,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for runs and picture.")],
    epochs: Annotated[int, typer.Option(min=1, help="Epochs after which to give up.")] = 60,
    rate: Annotated[
        list[float] | None,
        typer.Option(
            help="Rate of weights to try; may be given again. Else five of 0.001 to 0.016."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="2,560 images, two rates: ten minutes.")
    ] = False,
    device: options.Device = "auto",
    setting: options.Settings = None,
) -> None:
    """Train a net on CIFAR-10 with ReLU and with tanh, to 25 % training error.

    Figure 1 of the paper: no regularisation, and each net at the best of a few rates.
    Killed and started again, it goes on.

    \b
    Example: alexrep figure1 cifar10 figure1 --quick
    """
    from alexrep import files
    from alexrep.config import overrides
    from alexrep.plots import figure1, style

    taken = OWN | ({"limits.batches": "--quick"} if quick else {})
    overrides.require_free(setting or (), taken)
    options.require_apart(out, data, "OUT")
    files.make_folder(out)
    tried = tuple(dict.fromkeys(rate or RATES[: 2 if quick else None]))
    runs = Runs(data, out, tried, device, (*(QUICK if quick else ()), *(setting or ())))
    lines = [runs.best(activation, epochs) for activation in ("relu", "tanh")]
    style.save(figure1.draw(lines, TARGET), out / "figure1.png")
    crossings = {
        line.activation: {"rate": line.rate, "epochs": line.crossing(TARGET)} for line in lines
    }
    files.write_json(out / "figure1.json", {"target": TARGET, "rates": list(tried), **crossings})
    typer.echo(f"{out / 'figure1.png'}: {figure1.summary(lines, TARGET)}")
