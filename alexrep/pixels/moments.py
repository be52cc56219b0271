"""Mean image and RGB covariance from exact integer sums.

Shapes: S side of the image, 3 channels in the order R, G, B.
"""

import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep import files
from alexrep.errors import DataError, mismatch

_MASKS = np.array([[0xFF], [0xFF00], [0xFF0000]], np.int32)
"""Where each channel lies in the four bytes of a pixel, the first one lowest."""
_SCALES = np.array([1, 256, 65536], np.float32)
"""What a channel is multiplied with that is cut out by its mask and not moved."""
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
"""Channels whose products are summed, in the order in which they are."""
_PLACES = np.array([[0, 3, 5], [3, 1, 4], [5, 4, 2]])
"""Which of these stands where in a matrix of products."""
_UNITS = np.array([1 / (float(_SCALES[i]) * float(_SCALES[j])) for i, j in _PAIRS])
_BLOCK = 256
"""Pixels whose products are summed in float32: 256 times 255**2 is under 2**24, up to which it
counts exactly, whatever the order. A power of two as a factor changes nothing."""
_CHUNK = 32768
"""Pixels worked on at once, so that all of them stay in the processor's second cache."""
_BUFFER = 4096
"""Numbers that numpy converts at once, so that they stay in the first."""
_WAITING = 65536
"""Images whose sum a float32 holds exactly: 2**16 times 255 is under 2**24."""


class Moments:
    """Sums over images; those of parts add up to those of the whole, bit for bit."""

    def __init__(
        self, num_images: int, sums: NDArray[np.int64], products: NDArray[np.int64]
    ) -> None:
        """Hold sums that are known.

        Args:
            num_images: Images counted.
            sums: Sum over images, (S, S, 3), grey levels; exact for up to 3e16 images.
            products: Sum over images and places of the channels' products, (3, 3);
                exact for 2e9 images.
        """
        self.num_images = num_images
        self.products = products
        self._sums = sums
        self._waiting = 0
        self._spare = *sums.shape[:2], 4
        area = sums.size // 3
        chunk = min(_CHUNK, -(-area // _BLOCK) * _BLOCK)
        self._planes = np.zeros((3, chunk), np.float32)
        self._late = np.zeros((3, area), np.float32)
        self._dots = np.zeros((len(_PAIRS), -(-area // chunk), chunk // _BLOCK), np.float32)
        # Made once: to cut them out for every image takes a tenth of the time.
        blocks = self._planes.reshape(3, -1, _BLOCK)
        self._factors = (blocks, blocks), (blocks[:2], blocks[1:]), (blocks[0], blocks[2])
        self._chunks = [
            (late, self._planes[:, : late.shape[1]], (dots[:3], dots[3:5], dots[5]))
            for number, start in enumerate(range(0, area, chunk))
            for late, dots in [(self._late[:, start : start + chunk], self._dots[:, number])]
        ]

    @classmethod
    def zero(cls, side: int) -> "Moments":
        """Return the moments of no image."""
        return cls(0, np.zeros((side, side, 3), np.int64), np.zeros((3, 3), np.int64))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the images, (S, S, 3)."""
        return self._sums.shape

    @property
    def sums(self) -> NDArray[np.int64]:
        """Sum over images, (S, S, 3), grey levels."""
        self._settle()
        return self._sums

    def add(self, image: NDArray[np.uint8]) -> None:
        """Count in one image, uint8 (S, S, 3), or faster (S, S, 4), of which the last is ignored.

        Four bytes a pixel are one number to the processor: three masks part the channels. All
        sums are made in float32, in parts so small that it is exact, and gathered in int64.

        Raises:
            ValueError: If the image has another shape.
        """
        if image.shape == self.shape:
            image = np.concatenate([image, image[..., :1]], axis=2)
        if image.shape != self._spare:
            raise ValueError(f"image: expected shape {self.shape}, found {image.shape}")
        self._sum(np.ascontiguousarray(image).view("<i4").reshape(-1))
        found = self._dots.sum(axis=(1, 2), dtype=np.float64) * _UNITS
        self.products += found.astype(np.int64)[_PLACES]
        self.num_images += 1
        self._waiting += 1
        if self._waiting == _WAITING:
            self._settle()

    def _sum(self, pixels: NDArray[np.int32]) -> None:
        """Sum the places, and the products of each block."""
        start, held = 0, np.setbufsize(_BUFFER)
        for late, planes, dots in self._chunks:
            end = start + planes.shape[1]
            np.bitwise_and(pixels[start:end], _MASKS, out=planes, casting="unsafe")
            np.add(late, planes, out=late)
            if planes.shape[1] < self._planes.shape[1]:
                self._planes[:, planes.shape[1] :] = 0
            for (one, other), out in zip(self._factors, dots, strict=True):
                np.vecdot(one, other, out=out)
            start = end
        np.setbufsize(held)

    def _settle(self) -> None:
        """Move what waits in float32 into the sums."""
        if self._waiting:
            self._late /= _SCALES[:, None]
            for channel, late in enumerate(self._late.reshape(3, *self.shape[:2])):
                self._sums[..., channel] += late.astype(np.int64)
            self._late[:], self._waiting = 0, 0

    def __iadd__(self, other: "Moments") -> "Moments":
        """Count in the images of `other`."""
        self.num_images += other.num_images
        self._sums += other.sums
        self.products += other.products
        return self

    def save(self, path: Path) -> None:
        """Write to an .npz file, whole or not at all."""
        with files.whole(path) as part, part.open("wb") as stream:
            np.savez(stream, num_images=self.num_images, sums=self.sums, products=self.products)

    @classmethod
    def load(cls, path: Path) -> "Moments":
        """Read what `save` wrote.

        Raises:
            DataError: If the file is missing or damaged.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as held:
                return cls(int(held["num_images"]), held["sums"], held["products"])
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            advice = "remove it and run the stage again"
            raise DataError(mismatch(path, "the sums of a unit", error, advice)) from None

    @property
    def num_pixels(self) -> int:
        """Pixels counted."""
        return self.num_images * self._sums.size // 3

    def mean_image(self) -> NDArray[np.float32]:
        """Return the mean image, (S, S, 3), grey levels."""
        return (self.sums / self.num_images).astype(np.float32)

    def channel_means(self) -> NDArray[np.float64]:
        """Return the mean of each channel, (3,), grey levels."""
        means: NDArray[np.float64] = self._totals() / self.num_pixels
        return means

    def _totals(self) -> NDArray[np.int64]:
        """Return the sum of each channel, (3,); rows first, since sums of threes are slow."""
        totals: NDArray[np.int64] = self.sums.sum(axis=0).sum(axis=0)
        return totals

    def covariance(self) -> NDArray[np.float64]:
        """Return the RGB covariance about the channel means, (3, 3), squared grey levels.

        Divided by the number of pixels less one, as numpy.cov does. The
        difference of the large sums is taken in exact fractions.
        """
        totals = [int(value) for value in self._totals()]
        num = self.num_pixels
        products = self.products.tolist()
        entries = [
            [(products[i][j] - Fraction(totals[i] * totals[j], num)) / (num - 1) for j in range(3)]
            for i in range(3)
        ]
        return np.array(entries, dtype=np.float64)


@dataclass(frozen=True)
class ColourAxes:
    """The principal components of RGB."""

    stds: NDArray[np.float64]
    """Standard deviations along the axes, (3,), falling, in grey levels."""
    axes: NDArray[np.float64]
    """Unit eigenvectors, (3, 3), one per column, in the order of `stds`."""


def colour_axes(covariance: NDArray[np.float64]) -> ColourAxes:
    """Decompose an RGB covariance.

    The sign of each axis makes its largest component positive, as in
    scikit-learn. The *standard deviations* are kept, not the eigenvalues: the
    paper's section 4.1 reads as if eigenvalues scaled the noise, the released
    source uses their roots.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(3)])
    return ColourAxes(np.sqrt(values.clip(min=0)), vectors * signs)
