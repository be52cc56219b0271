"""Tables of the prepared set: its classes, its images with verdicts, counts of verdicts."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from alexrep.manifest import Manifest
from alexrep.prepare.prepared import Prepared

CLASS_COLUMNS = ("label", "wnid", "id", "words", "num_train_images")
"""Class index, wnid or folder name, id in the devkit, names, training images.

The number of training images is the devkit's, or, without a devkit, the number prepared.
"""
IMAGE_COLUMNS = (
    "name",
    "split",
    "label",
    "wnid",
    "id",
    "words",
    "verdict",
    "why",
    "width",
    "height",
    "sha256",
)
"""Width and height are of the image as distributed, in pixels; sha256 of the prepared JPEG."""

TableRow = Mapping[str, str | int | None]


def class_rows(prepared: Prepared) -> Iterator[TableRow]:
    """Yield a row of CLASS_COLUMNS for each class, in the order of their indices.

    Raises:
        DataError: If a record of the images is missing or broken.
    """
    is_promised = any(synset.num_train_images for synset in prepared.classes.synsets)
    counted = {} if is_promised else _count_train(prepared)
    for synset in prepared.classes.synsets:
        num_train = counted.get(synset.index, synset.num_train_images)
        values = (synset.index, synset.wnid, synset.id, synset.shown_words, num_train)
        yield dict(zip(CLASS_COLUMNS, values, strict=True))


def _count_train(prepared: Prepared) -> Counter[int]:
    """Count the training images of each class index, quarantined ones included."""
    units = prepared.units("train")
    return Counter(verdict.label for unit in units for verdict in prepared.all_verdicts(unit))


def image_rows(prepared: Prepared, splits: Iterable[str]) -> Iterator[TableRow]:
    """Yield a row of IMAGE_COLUMNS for each image of `splits`, quarantined ones included.

    Verdicts are read unit by unit. Without a public label, the label is -1 and wnid, id
    and words are None; width, height and sha256 are None for a quarantined image.

    Raises:
        DataError: If a record of the images is missing or broken.
    """
    synsets = prepared.classes.synsets
    for split in splits:
        for unit in prepared.units(split):
            for verdict in prepared.all_verdicts(unit):
                synset = synsets[verdict.label] if verdict.label >= 0 else None
                of_class = (synset.wnid, synset.id, synset.shown_words) if synset else (None,) * 3
                size = (verdict.width or None, verdict.height or None)
                outcome = (verdict.verdict, verdict.why, *size, verdict.sha256 or None)
                values = (verdict.name, split, verdict.label, *of_class, *outcome)
                yield dict(zip(IMAGE_COLUMNS, values, strict=True))


def write_csv(columns: Iterable[str], rows: Iterable[TableRow], out: TextIO) -> None:
    """Write a header and the rows as they come; None is an empty field."""
    table = csv.DictWriter(out, list(columns), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def write_json(rows: Iterable[TableRow], out: TextIO) -> None:
    """Write the rows as they come, as one JSON array; None is null."""
    separator = "[\n"
    for row in rows:
        out.write(separator + json.dumps(row, ensure_ascii=False))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def write_summary(record: Manifest, folder: Path, out: TextIO) -> None:
    """Write what a finished preparation holds, as one JSON document."""
    names = ("edition", "side", "num_classes", "groups", "shortage", "quarantine", "remarks")
    facts = {name: record.details[name] for name in names if name in record.details}
    summary = {"folder": str(folder), "seed": record.seed, **facts, "counts": record.counts}
    out.write(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


MOST_REASONS = 15
"""Rows shown at most; the rest are counted in one line."""


def verdict_table(record: Manifest) -> str:
    """Return the counts by verdict and reason as text, a column for each split.

    Args:
        record: The manifest of a finished preprocess.
    """
    reasons = record.details["reasons"]
    assert isinstance(reasons, dict), "written as one"  # noqa: S101
    splits = [split for split in ("train", "val", "test") if split in reasons]
    counts = {split: _counts(reasons[split]) for split in splits}
    rows = sorted({row for split in splits for row in counts[split]}, key=_rank)
    lines = [f"{'verdict':<64}" + "".join(f"{split:>10}" for split in splits)]
    for row in rows[:MOST_REASONS]:
        numbers = "".join(f"{counts[split].get(row, 0):>10,}" for split in splits)
        lines.append(f"{row[:63]:<64}{numbers}")
    if len(rows) > MOST_REASONS:
        lines.append(f"and {len(rows) - MOST_REASONS} more reasons, see the manifest")
    totals = "".join(f"{sum(counts[split].values()):>10,}" for split in splits)
    return "\n".join([*lines, f"{'images':<64}{totals}"])


def _counts(reasons: object) -> dict[str, int]:
    assert isinstance(reasons, dict), "written as one"  # noqa: S101
    return {str(reason): int(count) for reason, count in reasons.items()}


def _rank(reason: str) -> tuple[int, str]:
    order = ("ok", "repaired", "patched", "quarantined")
    return order.index(reason.split(":", maxsplit=1)[0]), reason
