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

_ROWS, _PIXELS = 256, 4
"""Products are summed over blocks of 256 rows of 4 pixels: 256 times 255**2 is under 2**24, up to
which a float32 counts exactly, and 4 pixels a row are what the matrix product is fastest with."""
_WAITING = 257
"""Images whose sum 16 bits hold: 257 times 255 is 2**16 - 1."""


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
        self._pixels = np.empty((0, _ROWS, 3 * _PIXELS), np.float32)
        self._late = np.zeros(sums.shape, np.uint16)

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
        """Count in one image, uint8 (S, S, 3).

        Sums are made in the smallest type that is exact and gathered in int64: products
        in float32 up to 2**24, places in 16 bits. Four times as fast as in float64 and int64.

        Raises:
            ValueError: If the image has another shape.
        """
        if image.shape != self.shape:
            raise ValueError(f"image: expected shape {self.shape}, found {image.shape}")
        if not len(self._pixels):
            num_blocks = -(-image.size // (_ROWS * 3 * _PIXELS))
            self._pixels = np.zeros((num_blocks, _ROWS, 3 * _PIXELS), np.float32)
        self._late += image
        self._pixels.reshape(-1)[: image.size] = image.reshape(-1)
        blocks = np.matmul(self._pixels.transpose(0, 2, 1), self._pixels)
        rows = blocks.sum(axis=0, dtype=np.float64).reshape(_PIXELS, 3, _PIXELS, 3)
        self.products += np.einsum("iaib->ab", rows).astype(np.int64)
        self.num_images += 1
        self._waiting += 1
        if self._waiting == _WAITING:
            self._settle()

    def _settle(self) -> None:
        """Move what waits in 16 bits into the sums."""
        if self._waiting:
            self._sums += self._late
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
        means: NDArray[np.float64] = self.sums.sum(axis=(0, 1)) / self.num_pixels
        return means

    def covariance(self) -> NDArray[np.float64]:
        """Return the RGB covariance about the channel means, (3, 3), squared grey levels.

        Divided by the number of pixels less one, as numpy.cov does. The
        difference of the large sums is taken in exact fractions.
        """
        totals = [int(value) for value in self.sums.sum(axis=(0, 1))]
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
