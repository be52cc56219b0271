"""The labelled images of a split, read by their index: packed ones, or originals.

Shapes: N images; H, W height and width of an image as it is read.
"""

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from alexrep.ilsvrc.classes import ClassTable

if TYPE_CHECKING:
    from alexrep.shards.read import Shard


class LabelledImages(abc.ABC):
    """Images of a split with names and labels."""

    shards: "Sequence[Shard]" = ()
    """The files that hold them, if they are packed."""

    def __init__(
        self,
        split: str,
        where: Path,
        names: NDArray[np.bytes_],
        labels: NDArray[np.int64],
        table: ClassTable,
        shape: tuple[int, int, int],
        num_quarantined: int = 0,
    ) -> None:
        """Take what is known of the images before they are read.

        Args:
            split: "train", "val" or "test".
            where: A file or a folder that holds them, for messages.
            names: File names as distributed, (N,).
            labels: Class indices, -1 unknown, (N,).
            table: The class table that the labels refer to.
            shape: (H, W, 3).
            num_quarantined: Images of the split that are not among them as they could not be
                prepared.
        """
        self.split, self.where, self.shape = split, where, shape
        self.names, self.labels, self.classes = names, labels, table
        self.num_quarantined = num_quarantined

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @abc.abstractmethod
    def decode(self, index: int, image: NDArray[np.uint8]) -> None:
        """Read an image into `image`, RGB, (H, W, 3); may be called by several threads at once.

        Raises:
            UndecodableError: If it is to be left out and counted.
            DataError: If its bytes cannot be read.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the files."""


AnyImages = TypeVar("AnyImages", bound=LabelledImages)
"""Images of one kind or the other: what is made of them is of the same kind."""
