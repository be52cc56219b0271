"""Learning rates as functions of the epoch; e is the number of finished epochs."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(ge=0, le=10)]
Positive = Annotated[float, Field(gt=0, le=10)]
Factor = Annotated[float, Field(gt=0, lt=1)]
Epochs = Annotated[int, Field(ge=1)]


class _Curve(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Geometric(_Curve):
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


class Step(_Curve):
    """The rate times `factor` after every so many epochs."""

    kind: Literal["step"]
    start: Positive
    factor: Factor
    every: Epochs

    def rate(self, epoch: int, epochs: int) -> float:  # noqa: ARG002 (one call for all)
        """Return the rate of an epoch."""
        return float(self.start * self.factor ** (epoch // self.every))


class Milestones(_Curve):
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


class _Floored(_Curve):
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
