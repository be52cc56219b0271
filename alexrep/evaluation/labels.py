"""Labels that are not the data's own: a ground truth of ids, or ReaL's several labels an image.

Both are listed in the order of the numbers in the images' names, from 1.

Shapes: N images.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep import files, system
from alexrep.errors import DataError, mismatch
from alexrep.evaluation.measures import measured
from alexrep.ilsvrc import devkit
from alexrep.ilsvrc.classes import ClassTable
from alexrep.ilsvrc.original_names import UNNAMED
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Scored
from alexrep.shards.labelled import LabelledImages

THEIRS = "name the labels of these images"
LIKENESS = 0.5
"""Share of images that must have one of their own labels among others': ReaL's has 0.9."""


def is_real(path: Path) -> bool:
    """Tell whether a file of labels is one of ReaL's form, by its name."""
    return path.suffix == ".json"


def take_ids(split: LabelledImages, path: Path) -> None:
    """Give a split the labels of a ground truth: a devkit id a line.

    Args:
        split: A whole split, whose labels are changed.
        path: The file.

    Raises:
        DataError: If a line is no id of the split's classes, or the file is of other images.
    """
    listed = np.array(devkit.read_labels(path, split.classes), np.int64)
    if len(listed) != len(split) + split.num_quarantined:
        wanted = f"{len(split) + split.num_quarantined:,} lines, the images of the split"
        raise DataError(mismatch(path, wanted, f"{len(listed):,}", "name that of this edition"))
    labels = listed[numbers(split.names, len(listed), path, THEIRS) - 1]
    known = split.labels >= 0
    _require_alike(labels[known] == split.labels[known], path)
    split.labels = labels


def with_real(scored: Scored, path: Path, table: ClassTable) -> Scored:
    """Count a result anew by labels of which an image has several, or none.

    An image is right if its likeliest class is one of its labels; images without any do not
    count. There is no loss of several labels.

    Args:
        scored: A result by the data's own labels.
        path: A JSON list of the class indices of each image, in the order of sorted wnids.
        table: The run's classes.

    Returns:
        The result, not yet written, under a name that ends in that of the file.

    Raises:
        DataError: If the file is no such list, or of other images or classes.

    Source: Beyer et al. 2020, "Are we done with ImageNet?".
    """
    kept, sets = scored.predictions, _read_real(path, len(table))
    lines = numbers(kept.names, len(sets), path, THEIRS) - 1
    mine = [sets[line] for line in lines.tolist()]
    known = [row for row, labels in enumerate(mine) if labels and kept.labels[row] >= 0]
    _require_alike(np.array([kept.labels[row] in mine[row] for row in known]), path)
    labels, credit = np.full(len(mine), -1), np.full((len(mine), 2), np.nan)
    for row, own in enumerate(mine):
        if own:
            is_right = np.isin(kept.top5[row], list(own))
            labels[row] = kept.top5[row, 0] if is_right[0] else min(own)
            credit[row] = is_right[0], is_right.any()
    unknown = np.full(len(mine), np.nan, np.float32)
    counted = replace(kept, labels=labels, credit=credit, label_probabilities=unknown)
    result = replace(
        scored.result,
        labels=path.stem,
        labels_digest=files.sha256_file(path),
        all_probabilities=kept.all_probabilities is not None,
        predictions="",
    )
    return Scored(_path(scored, path.stem), measured(result, counted), counted)


def _path(scored: Scored, name: str) -> Path:
    """Return the file of a result by other labels."""
    result = scored.result
    if result.members or result.wnids or result.labels or result.original:
        return scored.path.with_stem(f"{scored.path.stem}-{name}")
    run = RunFolder(scored.path.parent.parent)
    return run.result(result.split, result.views, result.checkpoint, name, result.average)


def _read_real(path: Path, num_classes: int) -> list[frozenset[int]]:
    advice = "name a JSON list of class indices for each image of val, such as ReaL's real.json"
    try:
        rows = json.loads(files.read_text(path))
    except (OSError, ValueError) as error:
        system.require_sound_disk(error, path)
        raise DataError(mismatch(path, "a JSON list", error, advice)) from None
    is_list = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not is_list or not all(
        type(label) is int and 0 <= label < num_classes for row in rows for label in row
    ):
        wanted = f"lists of class indices from 0 to {num_classes - 1}"
        raise DataError(mismatch(path, wanted, "others", advice))
    return [frozenset(row) for row in rows]


def numbers(names: NDArray[np.bytes_], most: int, path: Path, advice: str) -> NDArray[np.int64]:
    """Return the number at the end of each image's name: its line in a list of the images, (N,).

    Args:
        names: Names of images, as in `ILSVRC2012_val_00000001.JPEG`, (N,).
        most: The largest number that there may be; the smallest is 1.
        path: The list, for the message.
        advice: What to do where the names have no such numbers.

    Raises:
        DataError: If a name has no number, one over `most`, or that of another one.
    """
    require_original(names, path)
    ends = [name.rpartition(b"_")[2].partition(b".")[0] for name in names.tolist()]
    found = np.array([int(end) if end.isdigit() else 0 for end in ends], np.int64)
    is_first = np.zeros(len(found), np.bool_)
    is_first[np.unique(found, return_index=True)[1]] = True
    wrong = np.flatnonzero((found < 1) | (found > most) | ~is_first)
    if len(wrong):
        wanted = f"images whose names end in a number each, from 1 to {most:,}"
        raise DataError(mismatch(path, wanted, names[wrong[0]].decode("latin1"), advice))
    return found


def require_original(names: NDArray[np.bytes_], path: Path) -> None:
    """Refuse images whose original names are not known: none is known to be in any line of a list.

    Raises:
        DataError: If there is one; the message names it.
    """
    made_up = names[np.char.startswith(names, UNNAMED.encode())]
    if len(made_up):
        found, advice = made_up[0].decode("latin1"), "prepare data that have them; see docs/data.md"
        raise DataError(mismatch(path, "images with their original names", found, advice))


def _require_alike(is_same: NDArray[np.bool_], path: Path) -> None:
    """Refuse labels that are hardly ever the data's own: they are of another edition."""
    if len(is_same) and is_same.mean() < LIKENESS:
        found = f"{100 * is_same.mean():.1f} % the same; is it another edition's?"
        raise DataError(mismatch(path, "the labels of these images", found, "name theirs"))
