"""The original images of a split, listed to be read one by one: nothing is written."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.ilsvrc import archives, source
from alexrep.ilsvrc.entries import Entry, entries
from alexrep.ilsvrc.unit import Source


@dataclass(frozen=True)
class Listed:
    """The original images of a split, with their labels."""

    folder: Path
    split: str
    source: Source
    """What the folder of originals was found to hold."""
    entries: list[Entry]
    """The images, in the order of the units that preprocess would prepare."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why images could not be decoded, by their names; filled as they are read."""

    @cached_property
    def digest(self) -> str:
        """Digest of classes, labels, and names, places and times of the images; none is read."""
        index = archives.index_digest([entry.member for entry in self.entries])
        labels = [entry.label for entry in self.entries]
        return files.sha256_bytes(repr((self.source.classes.digest(), index, labels)).encode())


class Raw:
    """A folder of originals, each of whose splits is surveyed once, when it is asked for."""

    def __init__(self, folder: Path, edition: str | None = None, partial: bool = False) -> None:
        """Name the folder; nothing is read yet.

        Args:
            folder: Folder with the archives, or with folders of images instead.
            edition: The edition that it holds; found by its names if None.
            partial: Whether fewer images than the edition has are accepted.
        """
        self.folder, self._edition, self._partial = folder, edition, partial
        self._listed: dict[str, Listed] = {}

    def listed(self, split: str) -> Listed:
        """Return the images of a split; of an edition with a devkit no other split need be there.

        All are in memory by name and place, some 400 bytes an image.

        Raises:
            DataError: If an archive is missing, broken or of another edition, a count is wrong, or
                the images are rows of parquet files or otherwise read in one piece.
            ConfigError: If there is no edition of the name.
        """
        if split not in self._listed:
            self._listed[split] = self._list(split)
        return self._listed[split]

    def _list(self, split: str) -> Listed:
        found = source.survey(self.folder, self._edition, self._partial, only=split)
        units = [unit for unit in found.units if unit.split == split]
        if not units:
            advice = "choose another split"
            raise DataError(mismatch(self.folder, f"{split} images", "none", advice))
        mixed = [unit for unit in units if unit.is_mixed]
        if mixed:
            wanted, name = "images that can be read one by one", mixed[0].archive.name
            advice = "prepare them with alexrep preprocess, and score with --data"
            raise DataError(mismatch(self.folder, wanted, name, advice))
        images = [entry for unit in units for entry in entries(unit)]
        return Listed(self.folder, split, found, images)
