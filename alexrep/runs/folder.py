"""The run folder: where each of its files lies."""

from dataclasses import dataclass
from pathlib import Path

from alexrep import manifest, recipe
from alexrep.errors import DataError, mismatch
from alexrep.manifest import NAME, Manifest
from alexrep.settings import Recipe


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the names in it."""

    path: Path

    @property
    def manifest(self) -> Path:
        """The record of the finished training."""
        return self.path / NAME

    @property
    def plan(self) -> Path:
        """What the training was asked to do."""
        return self.path / "plan.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def log(self) -> Path:
        """The log, JSON lines."""
        return self.path / "log.jsonl"

    @property
    def layers(self) -> Path:
        """The table of the network's layers."""
        return self.path / "layers.json"

    def checkpoint(self, which: str) -> Path:
        """Return the file of checkpoint "last" or "best"."""
        return self.path / "checkpoints" / f"{which}.pt"

    def result(self, split: str, views: str) -> Path:
        """Return the file of a result; predictions lie beside it as .npz."""
        return self.path / "results" / f"{split}-{views}.json"

    def read_recipe(self) -> Recipe:
        """Read the recipe that ran.

        Raises:
            DataError: If the folder is not a run's.
        """
        if not self.recipe.is_file():
            advice = "name a folder made by alexrep train"
            raise DataError(mismatch(self.path, "a run folder", "no recipe.toml", advice))
        return recipe.read(self.recipe)

    def read_manifest(self) -> Manifest:
        """Read the record of the finished training.

        Raises:
            ManifestError: If it has not finished.
        """
        return manifest.read(self.manifest, "train")
