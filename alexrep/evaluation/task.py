"""A run scored on a split: once for the same weights and shards, and kept in the run."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from alexrep import manifest
from alexrep.compute import precision
from alexrep.compute.precision import Network
from alexrep.errors import ManifestError, mismatch
from alexrep.evaluation import predictions
from alexrep.evaluation.evaluate import evaluate
from alexrep.evaluation.match_classes import matched, of_classes
from alexrep.evaluation.scores import Scores
from alexrep.runs import results, trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Result, Scored
from alexrep.runs.trained import Trained
from alexrep.shards import subset
from alexrep.shards.read import open_split


@dataclass(frozen=True)
class Task:
    """What is to be scored."""

    run: RunFolder
    data: Path
    split: str
    """"train", "val" or "test"."""
    views: str
    """"centre" or "ten-crop"."""
    which: str
    """Checkpoint, "last" or "best"."""
    all_probabilities: bool = False
    """Whether to keep the probabilities of all classes."""

    @property
    def path(self) -> Path:
        """The file of the result."""
        return self.run.result(self.split, self.views, self.which)


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
    result, network = results.read(task.path), trained.load(task.run.checkpoint(task.which))
    shards = _shards_digest(task)
    if result.shards != shards:
        # To remove the result would be bad advice if nothing could come in its place.
        with contextlib.closing(open_split(task.data, task.split)) as split:
            matched(split, network, task.run.path, task.data)
        advice = "remove the old result to score anew"
        raise ManifestError(mismatch(task.path, f"shards = {shards!r}", result.shards, advice))
    difference = _difference(task, result, network)
    if difference is not None:
        say(mismatch(task.path, *difference, "scored anew, and the old result is replaced"))
        return None
    return result


def _difference(task: Task, result: Result, network: Trained) -> tuple[str, str] | None:
    """Return what a result should be and is, if it is not what the task asks for."""
    if result.checkpoint != task.which:
        return f"checkpoint {task.which!r}", repr(result.checkpoint)
    if result.weights != network.weights:
        return f"weights {network.weights[:12]} of epoch {network.epoch}", (
            f"{result.weights[:12]} of epoch {result.epoch}"
        )
    if task.all_probabilities and not result.all_probabilities:
        return "the probabilities of all classes", "those of the likeliest five"
    if not results.has_its_predictions(task.path, result):
        return "its predictions beside it", "none or others"
    return None


def num_images(task: Task) -> int:
    """Return how many images there are to score.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If the run was trained on some classes only, and they cannot be scored.
    """
    record = manifest.read(task.data / "shards" / manifest.NAME, "pack")
    recipe = task.run.read_recipe()
    if not recipe.limits.classes:
        return record.counts.get(f"{task.split} images", 0)
    table = task.run.read_classes()
    with contextlib.closing(open_split(task.data, task.split)) as split:
        return len(subset.indices(of_classes(split, recipe, table, task.run.path, task.data)))


def score(
    task: Task,
    device: torch.device,
    threads: int,
    batch_size: int,
    done: Callable[[int], None],
) -> Scored:
    """Score a run on a split; nothing is written.

    Precision, layout in memory, determinism and form are those of the run's recipe. Nothing is
    compiled and all towers lie on the one device, so that any machine can score any run.

    Args:
        task: What is to be scored.
        device: Where the network is to run.
        threads: Decoding threads.
        batch_size: Images at once.
        done: Told the number of images of each batch.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If network and data have other classes or other sides, or
            labels are not known.
    """
    network = trained.load(task.run.checkpoint(task.which))
    compute = precision.on_one_device(network.recipe.compute)
    with (
        precision.settled(compute),
        contextlib.closing(open_split(task.data, task.split)) as whole,
    ):
        split = matched(whole, network, task.run.path, task.data)
        model = precision.place(network.model(), compute, device)
        scores, outputs = evaluate(
            Network(model, compute, device),
            split,
            network.inputs().to(device),
            task.views,
            threads=threads,
            batch_size=batch_size,
            done=done,
            indices=subset.indices(split),
            with_all=task.all_probabilities,
        )
        result = _result(task, network, scores, split.geometry)
        return Scored(task.path, result, predictions.of(split, outputs))


def _result(task: Task, network: Trained, scores: Scores, geometry: str) -> Result:
    return Result(
        split=task.split,
        views=task.views,
        checkpoint=task.which,
        epoch=network.epoch,
        num_images=scores.num_images,
        num_quarantined=scores.num_quarantined,
        loss=scores.loss,
        top1_error=scores.top1_error,
        top5_error=scores.top5_error,
        weights=network.weights,
        shards=_shards_digest(task),
        geometry=geometry,
        trained_geometry=network.geometry,
        all_probabilities=task.all_probabilities,
        version=results.VERSION,
    )


def _shards_digest(task: Task) -> str:
    path = task.data / "shards" / manifest.NAME
    manifest.read(path, "pack")
    return manifest.digest(path)
