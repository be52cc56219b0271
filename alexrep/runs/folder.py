"""The run folder: where each of its files lies."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexrep import files, manifest
from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, ManifestError, mismatch
from alexrep.ilsvrc import classes
from alexrep.ilsvrc.classes import ClassTable
from alexrep.manifest import NAME, Manifest
from alexrep.runs import exported

IMPORT, IMPORT_CAFFE = "import", "import-caffe"
"""Stage names in the manifest of a run that was imported, not trained."""
ORIGINAL = "original"
"""In the names of results on original images, which are never prepared on disk."""
EPOCH = re.compile(r"epoch-(\d{5,6})(?:-top1-error-(\d\.\d{4}))?\.pt")
"""Name of an epoch checkpoint: finished epochs, val top-1 error; older ones have no error."""


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
    def data(self) -> Path:
        """What the images are that it trains on."""
        return self.path / "data.json"

    @property
    def log(self) -> Path:
        """The log, JSON lines."""
        return self.path / "log.jsonl"

    @property
    def events(self) -> Path:
        """The folder of event files for TensorBoard."""
        return self.path / "events"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def layers(self) -> Path:
        """The table of the network's layers."""
        return self.path / "layers.json"

    @property
    def is_exported(self) -> bool:
        """Whether `alexrep export` wrote it: it has one set of weights, and no training."""
        return not self.recipe.is_file() and (self.path / exported.CONFIG).is_file()

    @property
    def is_imported(self) -> bool:
        """Whether it holds weights that were trained elsewhere."""
        for stage in (IMPORT, IMPORT_CAFFE):
            with suppress(ManifestError):
                manifest.read(self.manifest, stage)
                return True
        return False

    def checkpoint(self, which: str) -> Path:
        """Return the file of checkpoint "last", "previous" or "best"; if exported, the weights."""
        if self.is_exported:
            return self.path / exported.WEIGHTS
        return self.checkpoints / f"{which}.pt"

    def epoch_checkpoint(self, epoch: int, error: float | None = None) -> Path:
        """Return the file to keep after `epoch` epochs, with their val top-1 error in its name."""
        metric = "" if error is None else f"-top1-error-{error:.4f}"
        return self.checkpoints / f"epoch-{epoch:05}{metric}.pt"

    def epoch_checkpoints(self) -> dict[int, Path]:
        """Return the existing epoch checkpoints by their number of epochs, newest first."""
        found = ((path, EPOCH.fullmatch(path.name)) for path in self.checkpoints.glob("epoch-*.pt"))
        paths = {int(match[1]): path for path, match in found if match}
        return dict(sorted(paths.items(), reverse=True))

    def resumable(self) -> list[Path]:
        """Return the existing checkpoints that a run can resume from, newest first."""
        if self.is_exported:
            return []
        named = [self.checkpoint("last"), self.checkpoint("previous")]
        return [path for path in (*named, *self.epoch_checkpoints().values()) if path.is_file()]

    @property
    def holds_run(self) -> bool:
        """Whether a training has begun here."""
        return self.plan.exists() or self.manifest.exists() or bool(self.resumable())

    def result(
        self,
        split: str,
        views: str,
        checkpoint: str = "last",
        labels: str = "",
        average: str = "probabilities",
    ) -> Path:
        """Return the file of a result; predictions lie beside it as .npz.

        Args:
            split: "train", "val" or "test".
            views: "centre" or "ten-crop".
            checkpoint: "last" or "best"; the name says it if it is not "last".
            labels: Name of the labels; empty: the data's own, of which the name says nothing.
                With others it says the checkpoint too, as in `val-centre-last-real.json`.
            average: What was averaged over the views; the name says it if not probabilities.
        """
        is_named = checkpoint != "last" or labels
        averaged = "" if average == "probabilities" else average
        parts = [split, views, averaged, checkpoint if is_named else "", labels]
        return self.path / "results" / f"{'-'.join(filter(None, parts))}.json"

    def read_recipe(self) -> Recipe:
        """Read the recipe that ran.

        Raises:
            DataError: If the folder is not a run's.
        """
        if self.is_exported:
            return exported.read_recipe(self.path)
        if not self.recipe.is_file():
            advice = "name a folder made by alexrep train"
            raise DataError(mismatch(self.path, "a run folder", self._other(), advice))
        return recipes.read(self.recipe)

    def _other(self) -> str:
        """Say what the path is that is no run's."""
        if not self.path.exists():
            return "no such folder"
        if self.path.is_file():
            return "a file"
        is_data = any((self.path / name / NAME).is_file() for name in ("images", "shards"))
        return "a folder of prepared data" if is_data else "no recipe.toml"

    def read_data(self) -> dict[str, Any]:
        """Read what the images of the run are; empty in runs that did not record it.

        Raises:
            DataError: If the record is damaged.
        """
        try:
            details: dict[str, Any] = json.loads(files.read_text(self.data))
            _ = details["geometry"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            advice = "remove it; alexrep train writes it again when the run goes on"
            raise DataError(mismatch(self.data, "what the images are", error, advice)) from None
        return details

    def read_classes(self) -> ClassTable:
        """Read the classes, in the order of the logits.

        Raises:
            DataError: If they are missing or damaged.
        """
        if self.is_exported:
            return exported.read(self.path).class_table(self.path / exported.CONFIG)
        return classes.read(self.path / "classes.json")

    def read_manifest(self) -> Manifest:
        """Read the record of the finished training.

        Raises:
            ManifestError: If it has not finished.
        """
        return manifest.read(self.manifest, "train")
