"""What a recipe says of the network's input: what is subtracted from an image, and its scale.

Numbers of channels are red, green, blue, whatever the order at the network's input is. What the
kinds mean in arithmetic: `feed/constants.py`.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Strict, contradiction

Colour = tuple[float, float, float]


def _in_words(wanted: str) -> WrapValidator:
    """Refuse with one line what fits none of several types."""

    def check(value: object, inner: ValidatorFunctionWrapHandler) -> object:
        try:
            return inner(value)
        except ValidationError:
            raise PydanticCustomError("numbers", "{wanted}", {"wanted": wanted}) from None

    return WrapValidator(check)


A_LIST = Field(strict=False)
"""Behind a validator of ours, what came as JSON is a list."""
Level = Annotated[float, Field(ge=0, le=255)]
Mean = Annotated[
    Literal["own"] | Annotated[tuple[Level, Level, Level], A_LIST],
    _in_words("'own', or three numbers from 0 to 255"),
]
Above = Annotated[float, Field(gt=0, le=255)]
Deviation = Annotated[
    Literal["own"] | Annotated[tuple[Above, Above, Above], A_LIST],
    _in_words("'own', or three numbers above 0, to 255"),
]
Range = Literal["grey", "unit"]
OWN: Literal["own"] = "own"
"""The numbers of the data set itself."""


class Input(Strict):
    """The input of a network; the class of each kind says what it is."""

    kind: str
    """What is done to the pixels before the network sees them."""

    @property
    def subtracted(self) -> Literal["image", "own"] | Colour:
        """What is subtracted: the mean image, its mean colour, or a colour in grey levels."""
        raise NotImplementedError

    @property
    def divisors(self) -> Literal["own"] | Colour:
        """What the rest is divided by: the data set's deviations, or numbers in grey levels."""
        raise NotImplementedError

    @property
    def statistics(self) -> tuple[str, ...]:
        """Statistics of the training set that it needs: "mean", "pca"."""
        needs_mean, needs_pca = self.subtracted in ("image", OWN), self.divisors == OWN
        return ("mean",) * needs_mean + ("pca",) * needs_pca

    def show(self) -> str:
        """Return what it is in words, the same for equal inputs."""
        raise NotImplementedError

    def points(self) -> dict[str, str]:
        """Return the input in words."""
        return {"input": self.show()}


INPUTS: Kinds[Input] = Kinds("kind", default="mean-image")
"""The settings class of each kind of input."""


@INPUTS.register
class MeanImage(Input):
    """Grey levels less the mean image, as in 2012 and in Caffe."""

    kind: Literal["mean-image"] = "mean-image"
    """What is done to the pixels before the network sees them: the mean image is subtracted, or
    the part of it that `feed.mean` names."""

    @property
    def subtracted(self) -> Literal["image"]:
        """The mean image."""
        return "image"

    @property
    def divisors(self) -> Colour:
        """1: they stay grey levels."""
        return (1.0, 1.0, 1.0)

    def show(self) -> str:
        """Return what it is in words."""
        return "grey levels less the mean image"


class _Ranged(Input):
    range: Range = "grey"
    """Range of the pixels, and the unit of the numbers given here: grey levels from 0 to 255, or
    from 0 to 1."""

    @property
    def unit(self) -> float:
        """Grey levels in the range's unit."""
        return 1.0 if self.range == "grey" else 255.0

    @property
    def divisors(self) -> Literal["own"] | Colour:
        """The unit of the range."""
        return (self.unit,) * 3

    def show(self) -> str:
        """Return what it is in words."""
        return "grey levels" if self.range == "grey" else "pixels from 0 to 1"

    def _levels(self, colour: Colour) -> Colour:
        red, green, blue = colour
        return red * self.unit, green * self.unit, blue * self.unit


class _Centred(_Ranged):
    mean: Mean = OWN
    """Mean of each channel, in the unit of `range`: the mean of the data set's own mean image, or
    three numbers. VGG's are [123.68, 116.779, 103.939], torchvision's [0.485, 0.456, 0.406] in
    the range from 0 to 1."""

    @property
    def subtracted(self) -> Literal["own"] | Colour:
        """The mean."""
        return OWN if self.mean == OWN else self._levels(self.mean)

    def show(self) -> str:
        """Return what it is in words."""
        return f"{super().show()} less the mean colour, {_shown(self.mean)}"

    @model_validator(mode="after")
    def _is_in_range(self) -> Self:
        largest = 0.0 if self.mean == OWN else max(self.mean)
        if largest > 255 / self.unit:
            raise contradiction(("mean",), "numbers from 0 to 1 with range = 'unit'", self.mean)
        # Numbers of the other range: no photographs are so dark.
        if self.range == "grey" and 0 < largest <= 1:
            raise contradiction(("mean",), "numbers above 1 with range = 'grey'", self.mean)
        return self


@INPUTS.register
class MeanColour(_Centred):
    """Pixels less one number a channel, as VGG's networks have them."""

    kind: Literal["mean-colour"]
    """What is done to the pixels before the network sees them: a number is subtracted from each
    channel."""


@INPUTS.register
class MeanStd(_Centred):
    """Pixels less the mean of their channel, divided by its standard deviation."""

    kind: Literal["mean-std"]
    """What is done to the pixels before the network sees them: the mean of each channel is
    subtracted, and the rest divided by the channel's standard deviation."""
    range: Range = "unit"
    """Unit of the numbers given here: grey levels from 0 to 255, or from 0 to 1. The network's
    input is the same."""
    deviation: Deviation = OWN
    """Standard deviation of each channel over all pixels: the data set's own, by `alexrep pca`, or
    three numbers; torchvision's are [0.229, 0.224, 0.225]."""

    @property
    def divisors(self) -> Literal["own"] | Colour:
        """The standard deviations."""
        return OWN if self.deviation == OWN else self._levels(self.deviation)

    def show(self) -> str:
        """Return what it is in words."""
        return f"{super().show()}, divided by {_shown(self.deviation)}"


@INPUTS.register
class Plain(_Ranged):
    """The pixels as they are."""

    kind: Literal["none"]
    """What is done to the pixels before the network sees them: nothing but to bring them into
    their range."""

    @property
    def subtracted(self) -> Colour:
        """Nothing."""
        return (0.0, 0.0, 0.0)


def _shown(numbers: Literal["own"] | Colour) -> str:
    return "the data's own" if numbers == OWN else ", ".join(f"{number:g}" for number in numbers)
