"""A run's result on a split: scored once, kept in the run, never mixed."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexrep import files, manifest
from alexrep.errors import DataError, ManifestError, mismatch
from alexrep.evaluation.evaluate import Predictions, evaluate
from alexrep.evaluation.match_classes import matched, of_classes
from alexrep.evaluation.scores import Scores
from alexrep.feed.batches import Reader
from alexrep.ilsvrc import classes
from alexrep.runs import checkpoint, trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Result, sheet_rows
from alexrep.shards import subset
from alexrep.shards.read import Split, open_split


@dataclass(frozen=True)
class Task:
    """What is to be scored."""

    run: RunFolder
    data: Path
    split: str
    views: str
    """"centre" or "ten-crop"."""
    which: str
    """Checkpoint, "last" or "best"."""


def find(task: Task) -> Result | None:
    """Return the result if it is there, of the same weights, checkpoint and shards.

    Raises:
        ManifestError: If one of others is there.
        DataError: If it is damaged, or the shards could not be scored, as `score` says.
    """
    path = task.run.result(task.split, task.views)
    if not path.exists():
        return None
    try:
        found = Result(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(mismatch(path, "a result", error, "remove it and evaluate again")) from None
    content = checkpoint.load(task.run.checkpoint(task.which))
    asked = {
        "checkpoint": task.which,
        "weights": checkpoint.weights_digest(content["state_dict"]),
        "shards": _shards_digest(task),
    }
    if found.shards != asked["shards"]:
        # To remove the result would be bad advice if nothing could come in its place.
        with contextlib.closing(open_split(task.data, task.split)) as split:
            matched(split, content, task.run.path, task.data)
    for key, wanted in asked.items():
        if getattr(found, key) != wanted:
            advice = "remove the old result to score anew"
            raise ManifestError(mismatch(path, f"{key} = {wanted!r}", getattr(found, key), advice))
    return found


def num_images(task: Task) -> int:
    """Return how many images there are to score.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If the run was trained on some classes only, and they cannot be scored.
    """
    record = manifest.read(task.data / "shards" / manifest.NAME, "pack")
    chosen = task.run.read_recipe()
    if not chosen.limits.classes:
        return record.counts.get(f"{task.split} images", 0)
    table = classes.read(task.run.path / "classes.json")
    with contextlib.closing(open_split(task.data, task.split)) as split:
        return len(subset.indices(of_classes(split, chosen, table, task.run.path, task.data)))


def score(
    task: Task,
    device: torch.device,
    threads: int,
    batch_size: int,
    done: Callable[[int], None],
    owned: Callable[[], None] = files.nothing,
) -> Result:
    """Score a run on a split and keep the result and the predictions in the run.

    Args:
        task: What is to be scored.
        device: Where the network is to run.
        threads: Decoding threads.
        batch_size: Images at once.
        done: Told the number of images of each batch.
        owned: Raises if the run's folder is no longer ours; asked before each rename.

    Raises:
        ManifestError: If pack has not finished, or the data has no such split.
        DataError: If checkpoint and data have other classes or other sides, or
            labels are not known.
    """
    path = task.run.checkpoint(task.which)
    content = checkpoint.load(path)
    with contextlib.closing(open_split(task.data, task.split)) as whole:
        split = matched(whole, content, task.run.path, task.data)
        model = trained.model_of(content, path).to(device)
        inputs = trained.inputs_of(content, path).to(device)
        scores, predictions = evaluate(
            model,
            split,
            inputs,
            task.views,
            threads=threads,
            batch_size=batch_size,
            done=done,
            indices=subset.indices(split),
        )
        _keep_predictions(task, split, predictions, owned)
    result = _result(task, content, scores, split.geometry)
    files.write_json(task.run.result(task.split, task.views), asdict(result), owned)
    return result


def _result(task: Task, content: dict[str, Any], scores: Scores, geometry: str) -> Result:
    return Result(
        split=task.split,
        views=task.views,
        checkpoint=task.which,
        epoch=content["epoch"],
        num_images=scores.num_images,
        num_quarantined=scores.num_quarantined,
        loss=scores.loss,
        top1_error=scores.top1_error,
        top5_error=scores.top5_error,
        weights=checkpoint.weights_digest(content["state_dict"]),
        shards=_shards_digest(task),
        geometry=geometry,
        trained_geometry=trained.geometry_of(content),
    )


def _shards_digest(task: Task) -> str:
    path = task.data / "shards" / manifest.NAME
    manifest.read(path, "pack")
    return manifest.digest(path)


def _keep_predictions(
    task: Task, split: Split, predictions: Predictions, owned: Callable[[], None]
) -> None:
    indices = subset.indices(split)
    rows = sheet_rows(predictions.top[:, 0] != split.labels[indices])
    with Reader(split, 1) as reader:
        images = next(reader.read([indices[rows]])).images
    path = task.run.result(task.split, task.views).with_suffix(".npz")
    with files.whole(path, owned) as part, part.open("wb") as stream:
        np.savez(
            stream,
            names=split.names[indices],
            labels=split.labels[indices],
            top5=predictions.top,
            probabilities=predictions.probabilities,
            sheet_images=images,
            sheet_rows=rows,
        )
