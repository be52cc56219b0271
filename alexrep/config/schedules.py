"""Learning rates by epoch: curves, changes at single epochs, and when to stop early."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Label, Strict

Rate = Annotated[float, Field(ge=0, le=10)]
Positive = Annotated[float, Field(gt=0, le=10)]
Factor = Annotated[float, Field(gt=0, lt=1)]
Epochs = Annotated[int, Field(ge=1)]


class Curve(Strict):
    """A learning rate by epoch; the class of each kind says how it falls."""

    kind: str
    """How it falls."""
    start: Positive
    """Rate of the first epoch."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:
        """Return the rate of an epoch.

        Args:
            epoch: Number of finished epochs, from 0.
            epochs: Epochs of the whole run.
            errors: Val top-1 error before the first epoch and after each finished one.

        Raises:
            ValueError: If the curve looks at errors and some are missing.
        """
        raise NotImplementedError

    def show(self, rate: float) -> str:
        """Return the rate of an epoch as text; the rule, where it depends on the run."""
        return f"{rate:g}"


CURVES: Kinds[Curve] = Kinds("kind")
"""The class of each kind of curve."""


@CURVES.register
class Geometric(Curve):
    """Equal parts of the run, each with a rate that is the same fraction of the one before.

    Source: the automatic schedule of the released source's later runs (169 to 171).
    """

    kind: Literal["geometric"]
    """How it falls."""
    end: Positive
    """Rate of the last part."""
    parts: Annotated[int, Field(ge=2)]
    """Number of parts."""
    over: Epochs | None = None
    """Epochs that the parts divide, for a run that ends before its plan; none: all of the run."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.end > self.start:
            raise ValueError("end must be start or under it")
        return self

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch of a run of `epochs`."""
        part = min(self.parts - 1, epoch * self.parts // (self.over or epochs))
        return float(self.start * (self.end / self.start) ** (part / (self.parts - 1)))


@CURVES.register
class Step(Curve):
    """The rate times `factor` after every so many epochs."""

    kind: Literal["step"]
    """How it falls."""
    factor: Factor
    """Factor on the rate at each fall."""
    every: Epochs
    """Epochs between two falls."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        return float(self.start * self.factor ** (epoch // self.every))


@CURVES.register
class Milestones(Curve):
    """The rate times `factor` at each of the named epochs."""

    kind: Literal["milestones"]
    """How it falls."""
    factor: Factor
    """Factor on the rate at each fall."""
    at: Annotated[tuple[Epochs, ...], Field(min_length=1)]
    """Finished epochs at which it falls."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("at must rise")
        return self

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        return float(self.start * self.factor ** sum(epoch >= drop for drop in self.at))


class _Floored(Curve):
    factor: Factor
    """Factor on the rate at each fall."""
    floor: Rate = 0.0
    """Rate under which it does not fall."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.floor > self.start:
            raise ValueError("floor must be start or under it")
        return self


@CURVES.register
class Exponential(_Floored):
    """The rate times `factor` after every epoch, but never under `floor`."""

    kind: Literal["exponential"]
    """How it falls."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        return float(max(self.floor, self.start * self.factor**epoch))


@CURVES.register
class Plateau(_Floored):
    """The rate times `factor` after `patience` epochs in a row without a lower val top-1 error.

    Source: Krizhevsky et al. 2012, section 5: the rate was divided by 10 when the validation
    error stopped improving.
    """

    kind: Literal["plateau"]
    """How it falls."""
    patience: Epochs
    """Epochs in a row without a lower error after which it falls."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of the epoch that follows those with these val top-1 errors."""
        if len(errors) != epoch + 1:
            raise ValueError(f"errors: expected {epoch + 1} for a plateau, found {len(errors)}")
        lowest, waited, rate = float("inf"), 0, self.start
        for error in errors:
            waited = 0 if error < lowest else waited + 1
            lowest = min(lowest, error)
            if waited == self.patience:
                rate, waited = max(self.floor, rate * self.factor), 0
        return rate

    def show(self, rate: float) -> str:  # noqa: ARG002 (one call for all)
        """Return the rule: which epochs it falls after is not known before the run."""
        return f"{self.start:g}, times {self.factor:g} on a plateau of the val error"


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
        elif any(change.weights or change.biases for change in self.changes if not change.layers):
            raise ValueError("beside curves, changes may set rates of named layers only")
        return self

    def points(self) -> dict[str, str]:
        """Return the labelled fields, and what the run may stop at."""
        return super().points() | {"early stop": self.stop.metric if self.stop else "none"}

    def _require_rates_at_the_start(self) -> None:
        first = self.changes[0] if self.changes else None
        if first is None or first.epoch or first.layers or None in (first.weights, first.biases):
            raise ValueError("the first change must be at epoch 0 and set weights and biases")
