"""What a recipe says of augmentation, as a list: each step's settings class, chosen by `kind`.

What the steps compute: `feed/listed.py`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Strict, contradiction

Share = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(gt=0, le=100)]
Strength = Annotated[float, Field(ge=0, le=10)]
CUTS = ("patch", "resized-patch")
"""Kinds that make patches of whole images."""


class Augmentation(Strict):
    """A step of augmentation; the class of each kind says which."""

    kind: str
    """What the step does."""

    def show(self) -> str:
        """Return the step in words."""
        numbers = [f"{value:g}" for value in self.model_dump().values() if type(value) is float]
        return f"{self.kind} {' '.join(numbers)}".strip()


AUGMENTATIONS: Kinds[Augmentation] = Kinds("kind")
"""The settings class of each kind of step."""


@AUGMENTATIONS.register
class Patch(Augmentation):
    """A patch of `model.side`, cut at a random place; section 4.1."""

    kind: Literal["patch"]
    """What the step does: it cuts a patch of `model.side` at a random place."""


@AUGMENTATIONS.register
class ResizedPatch(Augmentation):
    """A part of random area and shape, resized to `model.side`.

    Source: Szegedy et al. 2015, section 6; the rule is that of torchvision's RandomResizedCrop.
    """

    kind: Literal["resized-patch"]
    """What the step does: it cuts a part of random area and shape, and resizes it to
    `model.side`, bilinear with antialiasing, in whole grey levels. Ten tries to fit the part
    in, then the largest central one."""
    scale: tuple[Share, Share] = (0.08, 1.0)
    """Least and largest share of the image's area."""
    ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)
    """Least and largest width as a multiple of the height; its logarithm is uniform."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for name, (least, largest) in (("scale", self.scale), ("ratio", self.ratio)):
            if least > largest:
                raise contradiction((name,), "the least before the largest", [least, largest])
        return self

    def show(self) -> str:
        """Return the step in words."""
        (least, largest), (narrow, wide) = self.scale, self.ratio
        return f"{self.kind} {least:g} to {largest:g}, {narrow:.4g} to {wide:.4g}"


@AUGMENTATIONS.register
class Reflection(Augmentation):
    """A reflection from left to right; section 4.1."""

    kind: Literal["reflection"]
    """What the step does: it reflects an image from left to right."""
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the images that are reflected."""


@AUGMENTATIONS.register
class ColourNoise(Augmentation):
    """The colour PCA noise of section 4.1, in grey levels, not cut off at black and white."""

    kind: Literal["colour-noise"]
    """What the step does: it adds a colour, drawn along the colour axes of the training set."""
    scale: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Factor on the standard deviations along the colour axes; 0.1 in the paper."""
    divide: bool = False
    """Divide the input by 1 + scale at the end, as the released source does and the paper
    omits."""


@AUGMENTATIONS.register
class Jitter(Augmentation):
    """Random brightness, contrast, saturation and hue, in a random order.

    The definitions are those of torchvision's ColorJitter, on pixels from 0 to 1, which each of
    the four cuts off at black and white. A strength of 0 leaves its part out.
    """

    kind: Literal["jitter"]
    """What the step does: it changes brightness, contrast, saturation and hue, in an order drawn
    for each image."""
    brightness: Strength = 0.0
    """Factors on all pixels are drawn from 1 - this, or 0, to 1 + this."""
    contrast: Strength = 0.0
    """The same for the distance from the image's mean grey."""
    saturation: Strength = 0.0
    """The same for the distance of each pixel from its own grey."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Hues are turned by up to this share of a turn, either way."""

    @property
    def strengths(self) -> tuple[float, float, float, float]:
        """Strengths of the four changes, in the order of the fields."""
        return self.brightness, self.contrast, self.saturation, self.hue
