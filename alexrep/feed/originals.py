"""Original images, prepared while they are read: nothing is written.

Shapes: H, W height and width of what becomes of an image.
"""

import os

import numpy as np
from numpy.typing import NDArray

from alexrep.feed.preparation import Rule
from alexrep.ilsvrc.originals import Listed
from alexrep.pixels.decode import UndecodableError
from alexrep.shards.labelled import LabelledImages


class Originals(LabelledImages):
    """The original images of a split, each made into pixels by the same rule."""

    def __init__(self, listed: Listed, rule: Rule) -> None:
        """Take the images, and how they are prepared."""
        entries = listed.entries
        super().__init__(
            split=listed.split,
            where=listed.folder,
            names=np.array([os.fsencode(entry.name) for entry in entries], np.bytes_),
            labels=np.array([entry.label for entry in entries], np.int64),
            table=listed.source.classes,
            shape=rule.shape,
        )
        self._listed, self._rule = listed, rule

    def decode(self, index: int, image: NDArray[np.uint8]) -> None:
        """Prepare image `index` into `image`, RGB, (H, W, 3).

        Raises:
            UndecodableError: If it is no whole image; the list of originals keeps why.
            DataError: If the archive is broken or has changed.
        """
        entry = self._listed.entries[index]
        try:
            image[...] = self._rule.pixels(entry.name, entry.read())
        except UndecodableError as error:
            self._listed.unreadable[entry.name] = str(error)
            raise

    def close(self) -> None:
        """Do nothing: each image's file is open while it is read."""
