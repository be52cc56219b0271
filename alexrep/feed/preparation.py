"""Rules by which an original image becomes what a network is shown: pixels in grey levels.

Shapes: S side of a prepared square, P side of a patch.
"""

import re
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from alexrep.pixels.decode import MAX_PIXELS, Picture, UndecodableError, decode
from alexrep.prepare.image import Target, prepare, unwrap

Pixels = NDArray[np.uint8]


class Rule(Protocol):
    """How the bytes of an original image become pixels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixels."""

    def pixels(self, name: str, content: bytes) -> Pixels:
        """Return the pixels of an image, RGB.

        Args:
            name: Name of its file.
            content: Bytes of its file.

        Raises:
            UndecodableError: If they are no whole image.
        """


@dataclass(frozen=True)
class Squares:
    """As `alexrep preprocess` and `pack` make them, bit for bit, JPEG among it: (S, S, 3)."""

    target: Target

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixels."""
        return self.target.side, self.target.side, 3

    def pixels(self, name: str, content: bytes) -> Pixels:
        """Prepare an image, encode it as a JPEG and decode that again."""
        verdict, prepared = prepare(name, -1, content, self.target)
        if verdict.verdict == "quarantined":
            raise UndecodableError(verdict.why)
        square: Pixels = simplejpeg.decode_jpeg(prepared, "RGB")
        return square


@dataclass(frozen=True)
class ResizeAndCrop:
    """As torchvision's weights are scored: the whole image resized, then patches cut."""

    resize: int
    """Length of the shorter side, in pixels, to which an image is resized."""
    side: int
    """P, side of the central patch."""
    filter: str
    """Filter of the resizing, with antialiasing: "bilinear" or "bicubic"."""

    def show(self) -> str:
        """Return in words what is done to the size of an image; `read` reads them."""
        return f"shorter side to {self.resize} pixels ({self.filter}), centre of {self.side}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what `show` wrote; None if it is something else."""
        found = re.fullmatch(r"shorter side to (\d+) pixels \((\w+)\), centre of (\d+)", text)
        return cls(int(found[1]), int(found[3]), found[2]) if found else None

    def resized(self, picture: Picture) -> Picture:
        """Resize an RGB image so that its shorter side is `resize`.

        Raises:
            UndecodableError: If it is so narrow that the result would have over MAX_PIXELS.
        """
        narrow, wide = sorted(picture.size)
        if self.resize * self.resize * wide > MAX_PIXELS * narrow:
            size = "x".join(map(str, picture.size))
            raise UndecodableError(f"{size} pixels, too narrow to be resized to {self.resize}")
        transforms = _transforms()
        kind = transforms.InterpolationMode(self.filter)
        found: Picture = transforms.functional.resize(picture, [self.resize], kind, antialias=True)
        return found


def _transforms() -> Any:  # noqa: ANN401 (its annotations name tensors alone)
    """Import what takes a second and a half, and few commands need."""
    from torchvision import transforms  # noqa: PLC0415

    return transforms


@dataclass(frozen=True)
class Patches:
    """Patches of a resized image, one below the other: (P, P, 3), or (5 P, P, 3).

    Ten-crop reflects these five. torchvision's ten_crop cuts the reflected image instead: where
    the border is odd, its second centre lies a pixel beside the first.
    """

    rule: ResizeAndCrop
    has_corners: bool
    """Whether there are five, in the order of `views.corners`; otherwise the centre alone."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixels."""
        return self.rule.side * (5 if self.has_corners else 1), self.rule.side, 3

    def pixels(self, name: str, content: bytes) -> Pixels:  # noqa: ARG002 (as every rule)
        """Resize an image, and cut its patches."""
        resized, sides = self.rule.resized(decode(unwrap(content)[0]).picture), [self.rule.side] * 2
        if not self.has_corners:
            return np.asarray(_transforms().functional.center_crop(resized, sides))
        corners = _transforms().functional.five_crop(resized, sides)
        top_left, top_right, bottom_left, bottom_right, centre = map(np.asarray, corners)
        return np.concatenate([top_left, top_right, centre, bottom_left, bottom_right])
