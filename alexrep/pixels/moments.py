"""Mean image and RGB covariance from exact integer sums.

Shapes: S side of the image, 3 channels in the order R, G, B.
"""

import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep import files, system
from alexrep.errors import DataError, mismatch

_MASKS = np.array([[0xFF], [0xFF00], [0xFF0000]], np.int32)
"""Mask of each channel in the four bytes of a pixel, little endian."""
_SCALES = np.array([1, 256, 65536], np.float32)
"""Factor of each channel that is masked but not shifted."""
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
"""Pairs of channels whose products are summed, in the order of the sums."""
_MATRIX = np.array([[0, 3, 5], [3, 1, 4], [5, 4, 2]])
"""Positions of the pairs of channels in the matrix of products."""
_UNITS = np.array([1 / (float(_SCALES[i]) * float(_SCALES[j])) for i, j in _PAIRS])
_BLOCK = 256
"""Pixels whose products are summed in float32: 256 * 255**2 < 2**24, so the sum is exact in any
order. The scales are powers of two and change nothing."""
_CHUNK = 32768
"""Pixels per chunk: all its arrays stay in the L2 cache."""
_BUFFER = 4096
"""Numbers that numpy converts at a time: they stay in the L1 cache."""
_MOST_PENDING = 65536
"""Images whose sum is exact in float32: 2**16 * 255 < 2**24."""


class Moments:
    """Exact sums over images; the sums of parts add up to those of the whole, bit for bit."""

    def __init__(
        self, num_images: int, sums: NDArray[np.int64], products: NDArray[np.int64]
    ) -> None:
        """Start from given sums.

        Args:
            num_images: Number of images summed.
            sums: Sum over images, (S, S, 3), grey levels; exact for up to 3e16 images.
            products: Sum over images and pixels of the channels' products, (3, 3);
                exact for 2e9 images.
        """
        self.num_images = num_images
        self.products = products
        self._sums = sums
        self._num_pending = 0
        self._padded_shape = *sums.shape[:2], 4
        area = sums.size // 3
        chunk = min(_CHUNK, -(-area // _BLOCK) * _BLOCK)
        self._planes = np.zeros((3, chunk), np.float32)
        self._pending = np.zeros((3, area), np.float32)
        self._dots = np.zeros((len(_PAIRS), -(-area // chunk), chunk // _BLOCK), np.float32)
        # Views made once: slicing them for every image takes a tenth of the time.
        blocks = self._planes.reshape(3, -1, _BLOCK)
        self._factors = (blocks, blocks), (blocks[:2], blocks[1:]), (blocks[0], blocks[2])
        self._chunks = [
            (pending, self._planes[:, : pending.shape[1]], (dots[:3], dots[3:5], dots[5]))
            for number, start in enumerate(range(0, area, chunk))
            for pending, dots in [(self._pending[:, start : start + chunk], self._dots[:, number])]
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
        """Add an image, uint8 (S, S, 3), or faster (S, S, 4), whose fourth channel is ignored.

        The four bytes of a pixel are read as one int32, and masks separate the channels. Sums
        are made in float32, over so few values that they are exact, and then added in int64.

        Raises:
            ValueError: If the image has another shape.
        """
        if image.shape == self.shape:
            image = np.concatenate([image, image[..., :1]], axis=2)
        if image.shape != self._padded_shape:
            raise ValueError(f"image: expected shape {self.shape}, found {image.shape}")
        self._sum(np.ascontiguousarray(image).view("<i4").reshape(-1))
        products = self._dots.sum(axis=(1, 2), dtype=np.float64) * _UNITS
        self.products += products.astype(np.int64)[_MATRIX]
        self.num_images += 1
        self._num_pending += 1
        if self._num_pending == _MOST_PENDING:
            self._settle()

    def _sum(self, pixels: NDArray[np.int32]) -> None:
        """Add the pixels to the pending sums, and sum the products of each block."""
        start, former = 0, np.setbufsize(_BUFFER)
        for pending, planes, dots in self._chunks:
            end = start + planes.shape[1]
            np.bitwise_and(pixels[start:end], _MASKS, out=planes, casting="unsafe")
            np.add(pending, planes, out=pending)
            if planes.shape[1] < self._planes.shape[1]:
                self._planes[:, planes.shape[1] :] = 0
            for (left, right), out in zip(self._factors, dots, strict=True):
                np.vecdot(left, right, out=out)
            start = end
        np.setbufsize(former)

    def _settle(self) -> None:
        """Move the pending float32 sums into the int64 sums."""
        if self._num_pending:
            self._pending /= _SCALES[:, None]
            for channel, pending in enumerate(self._pending.reshape(3, *self.shape[:2])):
                self._sums[..., channel] += pending.astype(np.int64)
            self._pending[:], self._num_pending = 0, 0

    def __iadd__(self, other: "Moments") -> "Moments":
        """Add the images of `other`."""
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
            with path.open("rb") as stream, np.load(stream) as sums:
                return cls(int(sums["num_images"]), sums["sums"], sums["products"])
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            system.require_sound_disk(error, path)
            advice = "remove it and run the stage again"
            raise DataError(mismatch(path, "the sums of a unit", error, advice)) from None

    @property
    def num_pixels(self) -> int:
        """Number of pixels summed."""
        return self.num_images * self._sums.size // 3

    def mean_image(self) -> NDArray[np.float32]:
        """Return the mean image, (S, S, 3), grey levels."""
        return (self.sums / self.num_images).astype(np.float32)

    def channel_means(self) -> NDArray[np.float64]:
        """Return the mean of each channel, (3,), grey levels."""
        means: NDArray[np.float64] = self._totals() / self.num_pixels
        return means

    def _totals(self) -> NDArray[np.int64]:
        """Return the sum of each channel, (3,); rows first, as an innermost axis of 3 is slow."""
        totals: NDArray[np.int64] = self.sums.sum(axis=0).sum(axis=0)
        return totals

    def covariance(self) -> NDArray[np.float64]:
        """Return the RGB covariance about the channel means, (3, 3), squared grey levels.

        Divided by the number of pixels minus one, as in numpy.cov. The difference of the large
        sums is taken in exact fractions.
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
class PrincipalComponents:
    """The principal components of RGB."""

    stds: NDArray[np.float64]
    """Standard deviations along the axes, (3,), descending, in grey levels."""
    axes: NDArray[np.float64]
    """Unit eigenvectors, (3, 3), one per column, in the order of `stds`."""


def colour_axes(covariance: NDArray[np.float64]) -> PrincipalComponents:
    """Return the principal components of an RGB covariance, (3, 3).

    The sign of each axis makes its largest component positive, as in scikit-learn. Standard
    deviations are returned, not eigenvalues: section 4.1 of the paper reads as if eigenvalues
    scaled the noise, but the released source uses their square roots.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(3)])
    return PrincipalComponents(np.sqrt(values.clip(min=0)), vectors * signs)
