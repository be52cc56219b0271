"""What is to be scored of a run: its images, and the result that may be there already."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alexrep import files, manifest
from alexrep.errors import ManifestError, mismatch
from alexrep.evaluation import labels, originals
from alexrep.evaluation.evaluate import AVERAGES
from alexrep.evaluation.match_classes import Matched, by_classes, matched, of_classes, sharing
from alexrep.feed.originals import Originals
from alexrep.ilsvrc.originals import Raw
from alexrep.runs import results, trained
from alexrep.runs.folder import ORIGINAL, RunFolder
from alexrep.runs.results import Result
from alexrep.runs.trained import Trained
from alexrep.shards.read import open_split


@dataclass(frozen=True)
class Task:
    """What is to be scored."""

    run: RunFolder
    data: Path
    """A packed data folder, or that of `raw`."""
    split: str
    """"train", "val" or "test"."""
    views: str
    """"centre" or "ten-crop"."""
    which: str
    """Checkpoint, "last" or "best"."""
    all_probabilities: bool = False
    """Whether to keep the probabilities of all classes."""
    average: str = "probabilities"
    """What is averaged over the views, one of evaluate.AVERAGES; of one view it says nothing."""
    is_shared: bool = False
    """Whether the classes that run and data both have compete, and no others."""

    labels: Path | None = None
    """A ground truth of ids that stands in the place of the data's labels."""
    raw: Raw | None = None
    """The original images to score; None: packed ones."""

    @property
    def path(self) -> Path:
        """The file of the result."""
        # Results of other data stand beside those of the run's own.
        names = [ORIGINAL] if self.raw else []
        names += [f"subset-{self.data.resolve().name}"] if self.is_shared else []
        names += [self.labels.stem] if self.labels else []
        return self.run.result(self.split, self.views, self.which, "-".join(names), self.averaged)

    @property
    def labels_digest(self) -> str:
        """Digest of the ground truth; empty if the labels are the data's own."""
        return files.sha256_file(self.labels) if self.labels else ""

    @property
    def averaged(self) -> str:
        """What is averaged: probabilities, where there is one view only."""
        return self.average if self.views != "centre" else AVERAGES[0]


def find(task: Task, say: Callable[[str], None] = lambda text: None) -> Result | None:
    """Return the result that is there, if it need not be scored anew.

    Args:
        task: What is to be scored.
        say: Told why a result that is there does not do: it will be replaced.

    Raises:
        ManifestError: If it is of other shards.
        DataError: If it is damaged, or the shards could not be scored, as `score` says.
    """
    if not task.path.exists():
        return None
    result, network = results.read(task.path), trained.open_run(task.run, task.which)
    shards = images_digest(task)
    if result.shards != shards:
        # To remove the result would be bad advice if nothing could come in its place.
        with opened(replace(task, labels=None), network):
            pass
        advice = "remove the old result to score anew"
        what = "images" if task.raw else "shards"
        raise ManifestError(mismatch(task.path, f"{what} = {shards!r}", result.shards, advice))
    difference = _difference(task, result, network)
    if difference is not None:
        say(mismatch(task.path, *difference, "scored anew, and the old result is replaced"))
        return None
    # What is scored anew with all of them says nothing else than what is there.
    return None if task.all_probabilities and not result.all_probabilities else result


def _difference(task: Task, result: Result, network: Trained) -> tuple[str, str] | None:
    """Return what a result should be and is, if it is not what the task asks for."""
    if result.checkpoint != task.which:
        return f"checkpoint {task.which!r}", repr(result.checkpoint)
    if result.weights != network.weights:
        return f"weights {network.weights[:12]} of {network.moment}", (
            f"{result.weights[:12]} of {result.moment}"
        )
    if result.labels_digest != task.labels_digest:
        return f"the labels of {task.labels}", "others"
    if task.raw and result.original != (wanted := originals.as_prepared(network)):
        return f"images prepared so: {wanted}", repr(result.original)
    if not results.has_its_predictions(task.path, result):
        return "its predictions beside it", "none or others"
    return None


def num_images(task: Task) -> int:
    """Return how many images there are to score.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If the run or the task takes some classes only, and they cannot be scored.
    """
    if task.raw:
        with opened(task, trained.open_run(task.run, task.which)) as found:
            return len(found.indices)
    record = manifest.read(task.data / "shards" / manifest.NAME, "pack")
    recipe = task.run.read_recipe()
    if not recipe.limits.classes and not task.is_shared:
        return record.counts.get(f"{task.split} images", 0)
    table, what = task.run.read_classes(), (task.run.path, task.data)
    with contextlib.closing(open_split(task.data, task.split)) as split:
        if task.is_shared:
            return len(sharing(split, table, *what).indices)
        return len(of_classes(split, recipe, table, *what).indices)


@contextlib.contextmanager
def opened(task: Task, network: Trained, kinds: Sequence[str] = ("centre",)) -> Iterator[Matched]:
    """Open the split, with the labels that are asked for, and match it with the network.

    Args:
        task: What is to be scored.
        network: The run's network.
        kinds: Kinds of views that originals are prepared for.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If network, data and labels do not match.
        ConfigError: If the network's patch is larger than originals are to be resized to.
    """
    packed = None if task.raw else open_split(task.data, task.split)
    whole = _originals(task, network, kinds) if packed is None else packed
    with contextlib.closing(whole):
        if task.labels:
            labels.take_ids(whole, task.labels)
        rest = network, task.run.path, task.data, task.is_shared
        yield by_classes(whole, *rest) if packed is None else matched(packed, *rest)


def _originals(task: Task, network: Trained, kinds: Sequence[str]) -> Originals:
    assert task.raw, "it was looked at before"  # noqa: S101
    return Originals(task.raw.listed(task.split), originals.rule_of(network, kinds))


def images_digest(task: Task) -> str:
    """Return the digest of the images by which a result names them.

    Raises:
        ManifestError: If pack has not finished.
        DataError: If a folder of originals is not what it should be.
    """
    if task.raw:
        return task.raw.listed(task.split).digest
    path = task.data / "shards" / manifest.NAME
    manifest.read(path, "pack")
    return manifest.digest(path)
