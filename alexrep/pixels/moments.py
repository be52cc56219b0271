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


@dataclass
class Moments:
    """Sums over images; those of parts add up to those of the whole, bit for bit."""

    num_images: int
    sums: NDArray[np.int64]
    """Sum over images, (S, S, 3), grey levels; exact for up to 3e16 images."""
    products: NDArray[np.int64]
    """Sum over images and places of the channels' products, (3, 3); exact for 2e9 images."""

    @classmethod
    def zero(cls, side: int) -> "Moments":
        """Return the moments of no image."""
        return cls(0, np.zeros((side, side, 3), np.int64), np.zeros((3, 3), np.int64))

    def add(self, image: NDArray[np.uint8]) -> None:
        """Count in one image, uint8 (S, S, 3)."""
        self.num_images += 1
        self.sums += image
        pixels = image.reshape(-1, 3).astype(np.float64)
        # At most 2**16 products of 2**16 each: exact in the 53 bits of a double.
        self.products += (pixels.T @ pixels).astype(np.int64)

    def __iadd__(self, other: "Moments") -> "Moments":
        """Count in the images of `other`."""
        self.num_images += other.num_images
        self.sums += other.sums
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
        return self.num_images * int(self.sums.size) // 3

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
