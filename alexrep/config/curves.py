"""Curves of the learning rate by epoch."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Strict

Rate = Annotated[float, Field(ge=0, le=10)]
Positive = Annotated[float, Field(gt=0, le=10)]
Factor = Annotated[float, Field(gt=0, lt=1)]
Epochs = Annotated[int, Field(ge=1)]


class Curve(Strict):
    """A learning rate by epoch; the class of each kind says how it falls."""

    kind: str
    """How it falls."""

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

    def scaled(self, factor: float) -> Self:
        """Return the curve with all its rates times `factor`."""
        table = self.model_dump()
        numbers: dict[str, object] = {
            key: table[key] * factor for key in ("start", "end", "floor") if key in table
        }
        if "rates" in table:
            numbers["rates"] = tuple(rate * factor for rate in table["rates"])
        return type(self).model_validate({**table, **numbers})

    def show(self, rate: float) -> str:
        """Return the rate of an epoch as text; the rule, where it depends on the run."""
        return f"{rate:g}"


CURVES: Kinds[Curve] = Kinds("kind")
"""The class of each kind of curve."""


class _Started(Curve):
    start: Positive
    """Rate of the first epoch, after a warm-up if there is one."""


class _Falling(_Started):
    floor: Rate = 0.0
    """Rate under which it does not fall."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.floor > self.start:
            raise ValueError("floor must be start or under it")
        return self


class _Dropping(_Falling):
    factor: Factor
    """Factor on the rate at each fall."""


@CURVES.register
class Geometric(_Started):
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
class Step(_Dropping):
    """The rate times `factor` after every so many epochs, but never under `floor`."""

    kind: Literal["step"]
    """How it falls."""
    every: Epochs
    """Epochs between two falls."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        return float(max(self.floor, self.start * self.factor ** (epoch // self.every)))


@CURVES.register
class Milestones(_Dropping):
    """The rate times `factor` at each of the named epochs, but never under `floor`."""

    kind: Literal["milestones"]
    """How it falls."""
    at: Annotated[tuple[Epochs, ...], Field(min_length=1)]
    """Finished epochs at which it falls."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("at must rise")
        return self

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        drops = sum(epoch >= drop for drop in self.at)
        return float(max(self.floor, self.start * self.factor**drops))


@CURVES.register
class Exponential(_Dropping):
    """The rate times `factor` after every epoch, but never under `floor`."""

    kind: Literal["exponential"]
    """How it falls."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        return float(max(self.floor, self.start * self.factor**epoch))


@CURVES.register
class Plateau(_Dropping):
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


@CURVES.register
class Cosine(_Falling):
    """Half a period of a cosine, from `start` to `floor`.

    The last epoch's rate lies above `floor`, which the epoch after it would have.

    Source: Loshchilov and Hutter 2017, without restarts.
    """

    kind: Literal["cosine"]
    """How it falls."""
    begins: Annotated[int, Field(ge=0)] = 0
    """Finished epochs at which it begins to fall, such as those of a warm-up."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch of a run of `epochs`."""
        part = max(0, epoch - self.begins) / max(1, epochs - self.begins)
        return float(self.start - (self.start - self.floor) * (1 - math.cos(math.pi * part)) / 2)


@CURVES.register
class Listed(Curve):
    """A rate for each epoch; the last one stays."""

    kind: Literal["listed"]
    """How it falls."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)]
    """Rate of each epoch, in order."""

    def rate(self, epoch: int, epochs: int, errors: Sequence[float] = ()) -> float:  # noqa: ARG002
        """Return the rate of an epoch."""
        return float(self.rates[min(epoch, len(self.rates) - 1)])
