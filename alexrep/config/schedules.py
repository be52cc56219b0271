"""Learning rates by epoch: curves, changes at single epochs, and when to stop early."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.strict import Strict

Rate = Annotated[float, Field(ge=0, le=10)]
Positive = Annotated[float, Field(gt=0, le=10)]
Factor = Annotated[float, Field(gt=0, lt=1)]
Epochs = Annotated[int, Field(ge=1)]


class Geometric(Strict):
    """Equal parts of the run, each with a rate that is the same fraction of the one before.

    Source: the automatic schedule of the released source's later runs (169 to 171).
    """

    kind: Literal["geometric"]
    start: Positive
    """Rate of the first part."""
    end: Positive
    """Rate of the last part."""
    parts: Annotated[int, Field(ge=2)]
    """Number of parts."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.end > self.start:
            raise ValueError("end must be start or under it")
        return self

    def rate(self, epoch: int, epochs: int) -> float:
        """Return the rate of an epoch of a run of `epochs`."""
        part = min(self.parts - 1, epoch * self.parts // epochs)
        return float(self.start * (self.end / self.start) ** (part / (self.parts - 1)))


class Step(Strict):
    """The rate times `factor` after every so many epochs."""

    kind: Literal["step"]
    start: Positive
    factor: Factor
    every: Epochs

    def rate(self, epoch: int, epochs: int) -> float:  # noqa: ARG002 (one call for all)
        """Return the rate of an epoch."""
        return float(self.start * self.factor ** (epoch // self.every))


class Milestones(Strict):
    """The rate times `factor` at each of the named epochs."""

    kind: Literal["milestones"]
    start: Positive
    factor: Factor
    at: Annotated[tuple[Epochs, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("at must rise")
        return self

    def rate(self, epoch: int, epochs: int) -> float:  # noqa: ARG002 (one call for all)
        """Return the rate of an epoch."""
        return float(self.start * self.factor ** sum(epoch >= one for one in self.at))


class _Floored(Strict):
    start: Positive
    factor: Factor
    floor: Rate = 0.0

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.floor > self.start:
            raise ValueError("floor must be start or under it")
        return self


class Exponential(_Floored):
    """The rate times `factor` after every epoch, but never under `floor`."""

    kind: Literal["exponential"]

    def rate(self, epoch: int, epochs: int) -> float:  # noqa: ARG002 (one call for all)
        """Return the rate of an epoch."""
        return float(max(self.floor, self.start * self.factor**epoch))


class Plateau(_Floored):
    """The rate times `factor` after `patience` epochs in a row without a lower val top-1 error.

    Source: Krizhevsky et al. 2012, section 5: the rate was divided by 10 when the validation
    error stopped improving.
    """

    kind: Literal["plateau"]
    patience: Epochs

    def rate_after(self, errors: Sequence[float]) -> float:
        """Return the rate of the epoch that follows those with these val top-1 errors.

        Args:
            errors: Val top-1 error before the first epoch and after each finished one.
        """
        lowest, waited, rate = float("inf"), 0, self.start
        for error in errors:
            waited = 0 if error < lowest else waited + 1
            lowest = min(lowest, error)
            if waited == self.patience:
                rate, waited = max(self.floor, rate * self.factor), 0
        return rate


Curve = Annotated[
    Geometric | Step | Milestones | Exponential | Plateau, Field(discriminator="kind")
]

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
    """Layers whose own rates this sets, which then stay their own; empty: all the others."""


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

    epochs: Annotated[int, Field(ge=1, le=100000)]
    """Epochs to train."""
    weights: Curve | None = None
    """Learning rate of weights by epoch; none: by `changes` alone."""
    biases: Curve | None = None
    """Learning rate of biases by epoch; there if and only if `weights` is."""
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
        if (self.weights is None) != (self.biases is None):
            raise ValueError("weights and biases must both have a curve, or neither")
        if self.weights is None:
            self._require_rates_at_the_start()
        elif any(one.weights or one.biases for one in self.changes if not one.layers):
            raise ValueError("beside curves, changes may set rates of named layers only")
        return self

    def _require_rates_at_the_start(self) -> None:
        first = self.changes[0] if self.changes else None
        if first is None or first.epoch or first.layers or None in (first.weights, first.biases):
            raise ValueError("the first change must be at epoch 0 and set weights and biases")
