"""Submissions to ILSVRC: a line of at most five devkit ids for each image, likeliest first.

Shapes: N images, K classes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep import files, system
from alexrep.errors import DataError, mismatch
from alexrep.evaluation.labels import numbers, require_original
from alexrep.evaluation.scores import TOP
from alexrep.ilsvrc.classes import ClassTable
from alexrep.runs.results import Scored


def write(path: Path, scored: Scored, table: ClassTable) -> list[str]:
    """Write a result's predictions in the order of the images' names.

    Images in quarantine have lines too, or all after them would be those of other images: the
    ids 1 to 5, which are as good as any.

    Args:
        path: The file to write.
        scored: The result; its images must be all of the split.
        table: The run's classes, with their ids.

    Returns:
        The names of those in quarantine, as far as the numbers in the others' names tell.

    Raises:
        DataError: If images are in quarantine and the names of the others have no numbers, or
            the original names are not known.
        OSError: If it cannot be written.
    """
    ids = np.array([synset.id for synset in table.synsets])
    require_original(scored.predictions.names, path)
    names, guesses = scored.predictions.names, ids[scored.predictions.top5]
    order = np.argsort(names)
    num_quarantined = scored.result.num_quarantined
    lines = np.arange(len(names))
    if num_quarantined:
        advice = "the lines of images in quarantine are not known"
        lines = numbers(names[order], len(names) + num_quarantined, path, advice) - 1
    rows = np.tile(np.sort(ids)[: guesses.shape[1]], (len(names) + num_quarantined, 1))
    rows[lines] = guesses[order]
    text = "".join(f"{' '.join(map(str, row))}\n" for row in rows.tolist())
    files.write_bytes(path, text.encode())
    return [f"{line + 1}" for line in np.setdiff1d(np.arange(len(rows)), lines).tolist()]


def read(path: Path, num_classes: int, what: str = "a submission") -> NDArray[np.int64]:
    """Read a submission.

    Args:
        path: The file.
        num_classes: Largest id.
        what: What the file should be, for messages.

    Returns:
        Devkit ids, likeliest first; 0 where a line has fewer than five. (N, 5).

    Raises:
        DataError: If it is no submission; the line is named.
    """
    try:
        lines = files.read_text(path, "ascii").splitlines()
    except (OSError, ValueError) as error:
        system.require_sound_disk(error, path)
        found = error.strerror.lower() if isinstance(error, OSError) and error.strerror else error
        raise DataError(mismatch(path, what, found, "name a text file of ids")) from None
    guesses = np.zeros((len(lines), TOP), np.int64)
    for number, line in enumerate(lines):
        words = line.split()
        ids = [int(word) for word in words if word.isdecimal() and 1 <= int(word) <= num_classes]
        if len(ids) < len(words) or len(ids) > TOP:
            wanted = f"at most {TOP} ids from 1 to {num_classes} in line {number + 1}"
            raise DataError(mismatch(path, wanted, repr(line[:60]), f"name {what}"))
        guesses[number, : len(ids)] = ids
    return guesses


def read_truth(path: Path, num_images: int, num_classes: int) -> NDArray[np.int64]:
    """Read a ground truth, a devkit id a line, (N,).

    Raises:
        DataError: If it is none, or not of `num_images` images.
    """
    ids = read(path, num_classes, "a ground truth")
    if (ids[:, 0] == 0).any() or ids[:, 1:].any():
        raise DataError(mismatch(path, "one id a line", "others", "name a ground truth"))
    if len(ids) != num_images:
        wanted, found = f"{num_images:,} lines, as the submission has", f"{len(ids):,}"
        advice = "name a truth and a submission of the same images"
        raise DataError(mismatch(path, wanted, found, advice))
    return ids[:, 0]


def flat_errors(guesses: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the error with 1, 2, ... 5 guesses: the fraction of images without a right one, (5,).

    Args:
        guesses: Devkit ids, likeliest first; 0 is wrong. (N, 5).
        truth: Devkit ids, (N,).
    """
    is_right = np.maximum.accumulate(guesses == truth[:, None], axis=1)
    return np.asarray(1 - is_right.mean(axis=0))


def hierarchical_errors(
    guesses: NDArray[np.int64], truth: NDArray[np.int64], cost: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the mean cost with 1, 2, ... 5 guesses, that of each image's cheapest one, (5,).

    Args:
        guesses: Devkit ids, likeliest first; 0, no guess, costs the most there is. (N, 5).
        truth: Devkit ids, (N,).
        cost: Height of the lowest common ancestor of two classes, by their ids less 1, (K, K).

    Source: Readme of the ILSVRC-2010 devkit.
    """
    most = cost.max()
    costs = np.where(guesses > 0, cost[truth[:, None] - 1, guesses - 1], most)
    return np.asarray(np.minimum.accumulate(costs, axis=1).mean(axis=0))
