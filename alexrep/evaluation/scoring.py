"""A run scored on a split: once for the same weights and images, and kept in the run."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from alexrep.compute import precision
from alexrep.compute.processes import Processes
from alexrep.errors import DataError, mismatch
from alexrep.evaluation import loaded, originals, predictions
from alexrep.evaluation.evaluate import Averaging, Outputs, evaluate
from alexrep.evaluation.match_classes import Matched
from alexrep.evaluation.measures import measured
from alexrep.evaluation.task import Task, images_digest, opened
from alexrep.runs import results, trained
from alexrep.runs.results import Result, Scored
from alexrep.runs.trained import Trained
from alexrep.shards.read import Split


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
    with precision.settled(run.compute), opened(task, network, kinds) as found:
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
            _scored(task, network, found, outputs[task.views])
            for task in (tasks if group.leads else ())
        ]


def require_scorable(task: Task) -> None:
    """Refuse what `score_views` would refuse before it scores.

    So that of several processes the first can say so for all.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If network, data and labels do not match.
    """
    with opened(task, trained.open_run(task.run, task.which)):
        pass


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


def _scored(task: Task, network: Trained, found: Matched, outputs: Outputs) -> Scored:
    kept = predictions.of(found.split, outputs)
    result = _result(task, network, found, len(outputs.indices))
    return Scored(task.path, measured(result, kept), kept)


def _result(task: Task, network: Trained, found: Matched, num_scored: int) -> Result:
    """Say what was scored; the numbers come from `measured`."""
    packed = found.split if isinstance(found.split, Split) else None
    return Result(
        split=task.split,
        views=task.views,
        checkpoint=task.which,
        epoch=network.epoch,
        mid_epoch_step=network.mid_epoch_step,
        num_images=len(found.indices),
        num_quarantined=found.split.num_quarantined + len(found.indices) - num_scored,
        loss=None,
        top1_error=None,
        top5_error=None,
        weights=network.weights,
        shards=images_digest(task),
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


def _nothing(task: Task) -> DataError:
    wanted, found = f"{task.split} images", "none that can be decoded"
    return DataError(mismatch(task.data, wanted, found, "name the right folder"))
