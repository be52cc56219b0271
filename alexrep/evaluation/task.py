"""A run scored on a split: once for the same weights and shards, and kept in the run."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alexrep import files, manifest
from alexrep.compute import precision
from alexrep.compute.processes import Processes
from alexrep.errors import DataError, ManifestError, mismatch
from alexrep.evaluation import labels, loaded, originals, predictions
from alexrep.evaluation.evaluate import AVERAGES, Averaging, Outputs, evaluate
from alexrep.evaluation.match_classes import Matched, by_classes, matched, of_classes, sharing
from alexrep.evaluation.measures import measured
from alexrep.feed.originals import Originals
from alexrep.ilsvrc.originals import Raw
from alexrep.runs import results, trained
from alexrep.runs.folder import ORIGINAL, RunFolder
from alexrep.runs.results import Predictions, Result, Scored
from alexrep.runs.trained import Trained
from alexrep.shards.read import Split, open_split


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
    shards = _shards_digest(task)
    if result.shards != shards:
        # To remove the result would be bad advice if nothing could come in its place.
        with _opened(replace(task, labels=None), network):
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
        with _opened(task, trained.open_run(task.run, task.which)) as found:
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


def score(
    task: Task,
    device: torch.device,
    threads: int,
    batch_size: int,
    done: Callable[[int], None],
) -> Scored:
    """Score a run on a split by one kind of views; see `score_views`."""
    (scored,) = score_views([task], device, threads, batch_size, done)
    return scored


def score_views(
    tasks: Sequence[Task],
    device: torch.device,
    threads: int,
    batch_size: int,
    done: Callable[[int], None],
    processes: Processes | None = None,
) -> list[Scored]:
    """Score a run on a split by one or more kinds of views; nothing is written.

    Every image is decoded once, by one of the processes, for all kinds of views. (The images
    of the picture are read again once it is known which are wrong.)

    Precision, layout in memory, determinism and form are those of the run's recipe. Nothing is
    compiled and all towers lie on the one device, so that any machine can score any run.

    Args:
        tasks: What is to be scored; they differ in their views only.
        device: Where the network is to run.
        threads: Decoding threads.
        batch_size: Images at once.
        done: Told the number of images of each batch that were scored here.
        processes: Those that share the images; by default this one alone.

    Returns:
        A result of each task; nothing in processes but the first.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If network and data have other classes or other sides, or some labels are
            not known and others are.
    """
    task, group = tasks[0], processes or Processes()
    run = loaded.load(task.run.path, task.which, device)
    network = run.trained
    kinds = [task.views for task in tasks]
    with precision.settled(run.compute), _opened(task, network, kinds) as found:
        parts = evaluate(
            run.network,
            found.split,
            run.inputs,
            kinds,
            threads=threads,
            batch_size=batch_size,
            done=done,
            indices=found.indices,
            share=lambda batch: batch[group.share(len(batch))],
            with_all=task.all_probabilities,
            averaging=Averaging(task.average, _competing(found, device)),
        )
        outputs = {
            views: _gathered(part, found.indices, group) for views, (_, part) in parts.items()
        }
        if not len(outputs[task.views].indices):
            raise group.common(_nothing(task))
        return [
            Scored(task.path, measured(_result(task, network, found, kept), kept), kept)
            for task in (tasks if group.leads else ())
            for kept in [predictions.of(found.split, outputs[task.views])]
        ]


def require_scorable(task: Task) -> None:
    """Refuse what `score_views` would refuse before it scores.

    So that of several processes the first can say so for all.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If network, data and labels do not match.
    """
    with _opened(task, trained.open_run(task.run, task.which)):
        pass


@contextlib.contextmanager
def _opened(task: Task, network: Trained, kinds: Sequence[str] = ("centre",)) -> Iterator[Matched]:
    """Open the split, with the labels that are asked for, and match it with the network."""
    packed = None if task.raw else open_split(task.data, task.split)
    whole = packed or _originals(task, network, kinds)
    with contextlib.closing(whole):
        if task.labels:
            labels.take_ids(whole, task.labels)
        rest = network, task.run.path, task.data, task.is_shared
        yield matched(packed, *rest) if packed else by_classes(whole, *rest)


def _originals(task: Task, network: Trained, kinds: Sequence[str]) -> Originals:
    assert task.raw, "it was looked at before"  # noqa: S101
    return Originals(task.raw.listed(task.split), originals.rule_of(network, kinds))


def _nothing(task: Task) -> DataError:
    wanted, found = f"{task.split} images", "none that can be decoded"
    return DataError(mismatch(task.data, wanted, found, "name the right folder"))


def _competing(found: Matched, device: torch.device) -> torch.Tensor | None:
    """Tell of each class whether it competes, (K,); None if all do."""
    if not found.wnids:
        return None
    names = [synset.wnid in set(found.wnids) for synset in found.split.classes.synsets]
    return torch.tensor(names, device=device)


def _gathered(part: Outputs, indices: NDArray[np.int64], group: Processes) -> Outputs:
    """Put together what each process has computed; all of it comes to every process.

    Args:
        part: Of the images that were scored here.
        indices: Indices of all images that were to be scored, ascending, (N,).
        group: The processes.
    """
    if group.size == 1:
        return part
    rows, num_images = np.searchsorted(indices, part.indices), len(indices)
    is_scored = group.gathered(np.ones(len(rows), np.bool_), rows, num_images)
    return Outputs(
        **{
            name: group.gathered(array, rows, num_images)[is_scored]
            for name, array in vars(part).items()
            if array is not None
        }
    )


def _result(task: Task, network: Trained, found: Matched, kept: Predictions) -> Result:
    """Say what was scored; the numbers come from `measured`."""
    packed = found.split if isinstance(found.split, Split) else None
    return Result(
        split=task.split,
        views=task.views,
        checkpoint=task.which,
        epoch=network.epoch,
        mid_epoch_step=network.mid_epoch_step,
        num_images=len(found.indices),
        num_quarantined=found.split.num_quarantined + len(found.indices) - len(kept.names),
        loss=None,
        top1_error=None,
        top5_error=None,
        weights=network.weights,
        shards=_shards_digest(task),
        geometry=network.geometry if packed is None else packed.geometry,
        trained_geometry=network.geometry,
        prepared_otherwise=originals.otherwise(network, packed),
        original=originals.as_prepared(network) if packed is None else "",
        all_probabilities=task.all_probabilities,
        average=task.averaged,
        wnids=found.wnids,
        labels=task.labels.stem if task.labels else "",
        labels_digest=task.labels_digest,
        version=results.VERSION,
    )


def _shards_digest(task: Task) -> str:
    if task.raw:
        return task.raw.listed(task.split).digest
    path = task.data / "shards" / manifest.NAME
    manifest.read(path, "pack")
    return manifest.digest(path)
