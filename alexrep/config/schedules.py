"""The schedule of a recipe: curves, changes at single epochs, warm-up, and when to stop early."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.curves import CURVES, Curve, Epochs, Rate
from alexrep.config.strict import Label, Strict


class Warmup(Strict):
    """A slow start: in the first epochs a rising part of the rates."""

    epochs: Epochs
    """Epochs before the whole rate."""
    first: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Part of the rate in the first epoch; it rises by the same amount with each epoch."""

    def part(self, epoch: int) -> float:
        """Return the part of its rate that an epoch has."""
        return self.first + (1 - self.first) * min(1.0, epoch / self.epochs)


Metric = Literal["train_loss", "train_error", "val_loss", "val_top1_error", "val_top5_error"]


class Change(Strict):
    """Rates from some epoch on; what is not named stays as it was."""

    epoch: Annotated[int, Field(ge=0)]
    """Number of finished epochs at which the change takes effect."""
    weights: Rate | None = None
    """Learning rate of weights."""
    biases: Rate | None = None
    """Learning rate of biases."""
    noise: bool | None = None
    """Whether the colour noise is on."""
    layers: tuple[str, ...] = ()
    """Layers whose own rates this sets, which then stay their own, by full paths or last parts as
    in `optimiser.layer_decays`; empty: all the others."""

    def scaled(self, factor: float) -> Self:
        """Return the change with its rates times `factor`."""
        rates = {name: getattr(self, name) for name in ("weights", "biases")}
        times = {name: rate * factor for name, rate in rates.items() if rate is not None}
        return type(self).model_validate({**self.model_dump(), **times})


class Stop(Strict):
    """When to end before the last epoch."""

    metric: Metric
    """What is looked at after each epoch."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a new lowest value after which to stop; none: as many as there are."""
    target: Annotated[float, Field(ge=0)] | None = None
    """Value at or under which to stop; none: no such value."""


class Schedule(Strict):
    """The learning rates, epoch by epoch."""

    epochs: Annotated[int, Field(ge=1, le=100000), Label("epochs")]
    """Epochs to train."""
    weights: Annotated[Curve | None, CURVES] = None
    """Learning rate of weights by epoch; none: by `changes` alone."""
    biases: Annotated[Curve | None, CURVES] = None
    """Learning rate of biases by epoch; none: that of weights."""
    warmup: Warmup | None = None
    """A slow start, of weights and biases, whatever curve or changes they follow."""
    changes: tuple[Change, ...] = ()
    """Changes in order of their epochs. Without curves the first is at epoch 0 and sets both
    rates; with curves they set rates of named layers and the noise only."""
    stop: Stop | None = None
    """When to end early."""

    @model_validator(mode="after")
    def _is_complete_and_rises(self) -> Self:
        epochs = [change.epoch for change in self.changes]
        if epochs != sorted(epochs):
            raise ValueError("changes must be in order of their epochs")
        if self.weights is None and self.biases is not None:
            raise ValueError("weights must have a curve where biases have one")
        if self.weights is None:
            self._require_rates_at_the_start()
        elif any(change.weights or change.biases for change in self.changes if not change.layers):
            raise ValueError("beside curves, changes may set rates of named layers only")
        return self

    @property
    def curves(self) -> tuple[Curve | None, Curve | None]:
        """The curves of weights and of biases; none where changes set the rates."""
        return self.weights, self.biases or self.weights

    def from_rate(self, rate: float) -> Self:
        """Return the schedule whose first rate of weights is `rate`, all others in proportion."""
        curve = self.weights
        first = self.changes[0].weights if curve is None else curve.rate(0, self.epochs, (1.0,))
        if not first or rate <= 0:
            raise ValueError("the first rate of weights must be above 0")
        factor = rate / first
        scaled = {name: curve.scaled(factor) for name, curve in self._own_curves().items()}
        changes = tuple(change.scaled(factor) for change in self.changes)
        return self.model_copy(update={**scaled, "changes": changes})

    def _own_curves(self) -> dict[str, Curve]:
        curves = {"weights": self.weights, "biases": self.biases}
        return {name: curve for name, curve in curves.items() if curve is not None}

    def points(self) -> dict[str, str]:
        """Return the labelled fields, and what the run may stop at."""
        return super().points() | {"early stop": self.stop.metric if self.stop else "none"}

    def _require_rates_at_the_start(self) -> None:
        first = self.changes[0] if self.changes else None
        if first is None or first.epoch or first.layers or None in (first.weights, first.biases):
            raise ValueError("the first change must be at epoch 0 and set weights and biases")
