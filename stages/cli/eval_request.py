"""What `alexrep eval` is asked for, checked before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexrep.errors import ConfigError, mismatch
from alexrep.evaluation import labels
from alexrep.evaluation.task import Task
from alexrep.ilsvrc.originals import Raw
from alexrep.runs.folder import RunFolder

from . import options

VIEWS = ("centre", "ten-crop")


def views_of(named: Sequence[str], ten_crop: bool) -> list[str]:
    """Return the kinds of views that options ask for: named several times, or with commas.

    Raises:
        ConfigError: If one is unknown.
    """
    words = [word.strip() for text in named for word in text.split(",")]
    for word in words:
        options.require("--views", word, VIEWS)
    asked = [*words, *(["ten-crop"] if ten_crop else [])]
    return list(dict.fromkeys(asked)) or ["centre"]


def images_of(
    data: Path | None, original: Path | None, edition: str | None, partial: bool
) -> Path | Raw:
    """Return what is to be scored: a packed data folder, or one of originals.

    Raises:
        ConfigError: If neither or both are named, or an option is for originals alone.
    """
    if original is not None and data is None:
        return Raw(original, edition, partial)
    if data is None or original is not None:
        wanted, found = "one of --data and --original", "both" if data else "neither"
        advice = "name prepared and packed data, or a folder of originals"
        raise ConfigError(mismatch("alexrep eval", wanted, found, advice))
    for option, given in ("--edition", edition), ("--partial", partial):
        if given:
            advice = "what --data holds was said to preprocess"
            raise ConfigError(mismatch(option, "--original RAW", "--data", advice))
    return data


@dataclass(frozen=True)
class Request:
    """What the command was asked for."""

    runs: tuple[Path, ...]
    images: Path | Raw
    """A packed data folder, or one of originals."""
    split: str
    views: tuple[str, ...]
    form: tuple[str, bool, str, bool]
    """Checkpoint, whether all probabilities are kept, what is averaged, whether classes are
    shared: as `Task` takes them."""
    labels: Path | None
    """File of labels in the place of the data's."""
    submission: Path | None
    """File to write the predictions to."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is scored."""
        for run in self.runs:
            RunFolder(run).read_recipe()
        if self.submission and len(self.views) > 1:
            wanted, found = "one kind of views to write", ", ".join(self.views)
            raise ConfigError(mismatch("--submission", wanted, found, "name one with --views"))

    def task(self, run: Path) -> Task:
        """Return what is to be scored of a run, by the first kind of views."""
        raw = self.images if isinstance(self.images, Raw) else None
        data = self.images.folder if isinstance(self.images, Raw) else self.images
        return Task(RunFolder(run), data, self.split, self.views[0], *self.form, raw=raw)

    @property
    def real(self) -> Path | None:
        """The labels, if an image may have several."""
        return self.labels if self.labels and labels.is_real(self.labels) else None

    @property
    def ids(self) -> Path | None:
        """The labels, if they are a ground truth of ids."""
        return None if self.real else self.labels
