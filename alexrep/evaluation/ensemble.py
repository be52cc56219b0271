"""Several networks as one: their probabilities are averaged, as of the paper's 5 and 7 CNNs.

The probabilities of all classes are read one network after another: beside those that are read,
only the running sum is in memory, 200 MB for 50,000 images of 1,000 classes. Those of a result
that could not be kept, as in a folder that is not to be written to, are in memory throughout.

Shapes: M networks, N images, K classes, T = min(5, K).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.evaluation.measures import measured
from alexrep.evaluation.scores import TOP, Scores
from alexrep.runs import results
from alexrep.runs.folder import ORIGINAL, RunFolder
from alexrep.runs.results import Predictions, Scored

ROWS = 4096
"""Images that are scored at once."""
STEPS, ENOUGH = 10_000, 1e-10
"""Most steps of the search for weights, and the gain of a step with which it ends."""


def require_same_classes(runs: Sequence[Path]) -> None:
    """Refuse runs that cannot be averaged.

    Raises:
        DataError: If the outputs of one are of other classes than those of the first.
    """
    first, *others = [list(RunFolder(run).read_classes().index_of_wnid) for run in runs]
    for run, wnids in zip(runs[1:], others, strict=True):
        if wnids != first:
            advice = "average networks of the same classes"
            wanted = f"the {len(first)} classes of {runs[0]}"
            raise DataError(mismatch(run, wanted, f"{len(wnids)} others", advice))


def average(
    runs: Sequence[Path],
    members: Sequence[Scored],
    mixture: NDArray[np.float64],
    fitted_on: str = "",
) -> Scored:
    """Average the probabilities of several results of the same images.

    What is averaged was kept as float16; the labels' own probabilities, of which the loss is
    made, as float32.

    Args:
        runs: The runs; the ensemble's result belongs into the first one's folder.
        members: Each one's result; `light` if its file has the probabilities of all classes.
        mixture: Weight of each network, from 0 to 1, summing to one, (M,).
        fitted_on: Split on which the weights were searched, if they were.

    Returns:
        The result, not yet written; its name has a digest of networks and weights.

    Raises:
        DataError: If they are not of the same images, labels and classes.

    Source: Krizhevsky et al. 2012, section 6; the released source averages the probabilities
    over the views first, then over the networks, with weights that were searched on val.
    """
    first, digests = members[0], [member.result.weights for member in members]
    total = np.zeros((0, 0), np.float32)
    own = np.zeros(len(first.predictions.labels), np.float32)
    for member, weight in zip(members, mixture.tolist(), strict=True):
        _require_same(first, member)
        own += np.float32(weight) * member.predictions.label_probabilities
        everything = _of_all_classes(member)
        total = total if len(total) else np.zeros(everything.shape, np.float32)
        for rows in _blocks(len(total)):
            total[rows] += np.float32(weight) * everything[rows].astype(np.float32)
        del everything  # before the next ones are read
    digest = files.sha256_bytes(repr((digests, mixture.tolist())).encode())
    result = replace(
        first.result,
        weights=digest,
        mid_epoch_step=None,
        all_probabilities=False,
        predictions="",
        members=tuple(str(run) for run in runs),
        mixture=tuple(mixture.tolist()),
        fitted_on=fitted_on,
    )
    kept = _predictions(first.predictions, total, own)
    return Scored(_path(runs, first, digest), measured(result, kept), kept)


def search(members: Sequence[Scored]) -> NDArray[np.float64]:
    """Search the weights under which the average finds the labels likeliest.

    The mean log likelihood is concave in the weights, and every step of expectation
    maximisation raises it: from equal weights it comes to the one maximum.

    Args:
        members: Each network's result on the images to fit on, which must have labels.

    Returns:
        Weight of each network, summing to one, (M,).

    Raises:
        DataError: If they are not of the same images, or none has a label.

    Source: Dempster, Laird and Rubin 1977, section 4.3.
    """
    for member in members:
        _require_same(members[0], member)
    columns = [member.predictions.label_probabilities for member in members]
    own = np.stack(columns, axis=1).astype(np.float64)
    own = np.maximum(own[np.isfinite(own).all(axis=1)], np.finfo(np.float32).tiny)
    if not len(own):
        raise DataError(mismatch(members[0].path, "labels to fit weights on", "none", "use val"))
    mixture, before = np.full(len(members), 1 / len(members)), -np.inf
    for _ in range(STEPS):
        mixed = own @ mixture
        likelihood = np.log(mixed).mean()
        if likelihood - before < ENOUGH:
            break
        before = likelihood
        mixture *= (own / mixed[:, None]).mean(axis=0)
    mixture /= mixture.sum()
    return mixture


def _path(runs: Sequence[Path], first: Scored, digest: str) -> Path:
    """Return the file of an ensemble's result, beside the first network's."""
    result = first.result
    parts = [ORIGINAL if result.original else "", result.labels]
    name = "-".join(filter(None, [*parts, f"ensemble-{len(runs)}-{digest[:8]}"]))
    run = RunFolder(runs[0])
    return run.result(result.split, result.views, result.checkpoint, name, result.average)


def light(scored: Scored) -> Scored:
    """Drop the probabilities of all classes of a result that is kept in its file.

    They are 100 MB for 50,000 images of 1,000 classes.
    """
    if not scored.result.predictions:
        return scored
    return replace(scored, predictions=replace(scored.predictions, all_probabilities=None))


def _of_all_classes(scored: Scored) -> NDArray[np.float16]:
    """Return the probabilities of all classes, (N, K), from the result's file if need be."""
    everything = scored.predictions.all_probabilities
    if everything is None and scored.result.predictions:
        everything = results.read_scored(scored.path).predictions.all_probabilities
    if everything is None:
        advice = "run alexrep eval --all-probabilities"
        wanted = "the probabilities of all classes"
        raise DataError(mismatch(scored.path, wanted, "those of the likeliest five", advice))
    return everything


def _require_same(first: Scored, other: Scored) -> None:
    """Refuse results that are not of the same images, labels and competing classes."""
    a, b = first.predictions, other.predictions
    is_same = np.array_equal(a.names, b.names) and np.array_equal(a.labels, b.labels)
    if not is_same or first.result.wnids != other.result.wnids:
        wanted = f"the images, labels and classes of {first.path}"
        raise DataError(mismatch(other.path, wanted, "others", "score all on the same data"))


def _blocks(num: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, num, ROWS)]


def _predictions(
    first: Predictions, total: NDArray[np.float32], own: NDArray[np.float32]
) -> Predictions:
    """Put the likeliest classes of the average in the place of the first network's."""
    values, top = np.zeros(first.probabilities.shape, np.float32), np.zeros_like(first.top5)
    credit = np.full((len(total), 2), np.nan)
    for rows in _blocks(len(total)):
        likely, labels = torch.from_numpy(total[rows]), torch.from_numpy(first.labels[rows])
        largest = likely.topk(min(TOP, likely.shape[1]))
        values[rows], top[rows] = largest.values.numpy(), largest.indices.numpy()
        known = labels >= 0
        if bool(known.any()):
            _, its_credit = Scores().add(likely[known], labels[known])
            credit[rows][known.numpy()] = its_credit.numpy()
    return replace(
        first,
        top5=top,
        probabilities=values,
        label_probabilities=own,
        credit=credit,
        all_probabilities=None,
    )
