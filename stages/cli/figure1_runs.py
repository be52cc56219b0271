"""The runs of figure 1: one net at several rates, each run its own process."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from . import options
from .subprocesses import start

if TYPE_CHECKING:  # matplotlib would take longer than --help may
    from alexrep.plots.figure1 import Line

RECIPE = "cifar10-figure1"
TARGET = 0.25
"""Training error to reach, as a fraction; Krizhevsky et al. 2012, figure 1."""
OWN = {
    "model.activation": "figure1 itself",
    "schedule.epochs": "--epochs",
    "schedule.changes": "--rate",
}
"""What sets these fields, whatever the recipe says."""


@dataclass(frozen=True)
class Runs:
    """What the runs have in common."""

    data: Path
    out: Path
    rates: tuple[float, ...]
    """Rates of weights to try; those of biases are twice as high."""
    device: str
    settings: tuple[str, ...]
    """Fields of the recipe, as path=value."""

    def best(self, activation: str, epochs: int) -> Line:
        """Train at each rate; return the run that is first at the target, or else the nearest.

        Args:
            activation: `relu` or `tanh`.
            epochs: Epochs after which to give up.
        """
        from alexrep.plots import figure1

        lines: list[Line] = []
        for rate in self.rates:
            run = self.out / f"{activation}-{rate:g}"
            if not self._train(run, activation, rate, epochs):
                continue
            lines.append(figure1.read(run, activation))
            # The later ones need not go on for longer than the first at the target.
            epochs = min(epochs, ceil(lines[-1].crossing(TARGET) or epochs))
        if not lines:
            raise typer.Exit(1)
        best = min(lines, key=lambda line: (line.crossing(TARGET) or inf, line.errors.min()))
        if len(self.rates) > 2 and best.rate in (min(self.rates), max(self.rates)):
            options.note(f"{activation}: best at {best.rate:g}, the last of the rates: try beyond")
        return best

    def _train(self, run: Path, activation: str, rate: float, epochs: int) -> bool:
        """Train; tell whether there is a run: at too high a rate the loss is soon no number."""
        changes = f"[{{epoch = 0, weights = {rate}, biases = {2 * rate}, noise = false}}]"
        fields = {"model.activation": activation, "schedule.epochs": epochs}
        own = [f"{field}={value}" for field, value in fields.items()]
        given = [*own, f"schedule.changes={changes}", *self.settings]
        words = [word for setting in given for word in ("--set", setting)]
        where = ("--run", str(run), "--recipe", RECIPE, "--device", self.device)
        try:
            start("train", str(self.data), *where, *words)
        except typer.Exit as left:
            if left.exit_code != 1:
                raise
            options.note(f"{run.name}: passed over, another rate may do")
            return False
        return True
