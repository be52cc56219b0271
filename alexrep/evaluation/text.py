"""Results as text."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from alexrep.evaluation.confusion import ClassErrors, Pair
from alexrep.ilsvrc.classes import ClassTable
from alexrep.runs.results import Result

MADE = {"crop": "cropped", "squash": "squashed"}


def percent(error: float | None) -> str:
    """Write an error, a fraction, in percent; "unknown" if there is none."""
    return "unknown" if error is None else f"{100 * error:.2f} %"


def line(result: Result) -> str:
    """Write a result on one line, and a second one if the network knew images of other geometry."""
    what = f"{result.split}, {views_of(result)}: "
    if result.top1_error is None:
        return f"{what}predictions of {result.num_images:,} images without labels{_warning(result)}"
    as_what = "an error" if result.num_quarantined == 1 else "errors"
    quarantined = f", {result.num_quarantined:,} of them in quarantine, counted as {as_what}"
    return (
        f"{what}top-1 error {percent(result.top1_error)}, "
        f"top-5 error {percent(result.top5_error)} ({_num_counted(result):,} images"
        f"{quarantined if result.num_quarantined else ''})"
        f"{_warning(result)}"
    )


def details(result: Result) -> list[str]:
    """Write what is known of a result beside its errors, a line each."""
    lines = []
    if result.mid_epoch_step is not None:
        whole = f"the log's last errors are those after epoch {result.epoch}"
        lines.append(f"checkpoint {result.checkpoint}: of {result.moment}; {whole}")
    if result.top1_interval and result.top5_interval:
        ends = [
            f"top-{top} {100 * low:.2f} to {100 * high:.2f} %"
            for top, (low, high) in ((1, result.top1_interval), (5, result.top5_interval))
        ]
        lines.append(f"95 % intervals: {', '.join(ends)} ({result.draws:,} bootstrap draws)")
    if result.loss is not None:
        lines.append(f"mean negative log likelihood: {result.loss:.4f}")
    if result.ece is not None:
        lines.append(f"expected calibration error: {percent(result.ece)} (15 bins of equal width)")
    if result.original:
        lines.append(f"original images: {result.original}")
    if result.prepared_otherwise:
        lines.append(result.prepared_otherwise)
    if result.members:
        each = zip(result.members, result.mixture, strict=True)
        lines.append(f"weights: {', '.join(f'{run} {weight:.3f}' for run, weight in each)}")
    if result.fitted_on:
        same = ": the very images of this error" if result.fitted_on == result.split else ""
        lines.append(f"the weights were fitted on {result.fitted_on}{same}")
    if result.wnids:
        lines.append(f"competing: the {len(result.wnids)} classes that run and data both have")
    return lines


def document(result: Result) -> str:
    """Write a result as one JSON document."""
    return json.dumps(asdict(result), indent=1)


def documents(results: Sequence[Result]) -> str:
    """Write one result as `document` does, or several as one JSON list."""
    if len(results) == 1:
        return document(results[0])
    return json.dumps([asdict(result) for result in results], indent=1)


def class_table(errors: ClassErrors, pairs: Sequence[Pair], table: ClassTable) -> list[str]:
    """Write the errors of each class, the hardest first, and which pairs are most confused."""
    # A class folder that is named by no wnid has one name only.
    pairs_of_names = ((synset.wnid, synset.short_name) for synset in table.synsets)
    names = [" ".join(dict.fromkeys(pair)) for pair in pairs_of_names]
    wide = max(len(name) for name in names)
    lines = [f"{'class':<{wide}}{'images':>8}{'top-1 error':>14}{'top-5 error':>14}"]
    for row in errors.hardest():
        both = (percent(float(each[row])) for each in (errors.top1_error, errors.top5_error))
        shown = "".join(f"{error:>14}" for error in both)
        lines.append(f"{names[row]:<{wide}}{errors.counts[row]:>8,}{shown}")
    if pairs:
        lines += ["", f"{'class':<{wide}}{'images':>8}  taken for"]
    for pair in pairs:
        share = f"{pair.count:>8,}  {names[pair.predicted]} ({percent(pair.fraction)})"
        lines.append(f"{names[pair.label]:<{wide}}{share}")
    return lines


def table(results: Iterable[Result]) -> str:
    """Write results as a table, a line each."""
    shown = [(views_of(result), result) for result in results]
    wide = max([10, *(len(views) + 2 for views, _ in shown)])
    rows = [f"{'split':<6}{'views':<{wide}}{'images':>8}{'top-1 error':>14}{'top-5 error':>14}"]
    for views, result in shown:
        errors = f"{percent(result.top1_error):>14}{percent(result.top5_error):>14}"
        rows.append(f"{result.split:<6}{views:<{wide}}{_num_counted(result):>8,}{errors}")
    return "\n".join(rows)


def _num_counted(result: Result) -> int:
    """Return how many images the errors are of; all, where no label is known."""
    return result.num_images - (result.num_unlabelled if result.top1_error is not None else 0)


def views_of(result: Result) -> str:
    """Name the views, and what else is not usual: average, checkpoint, labels, classes."""
    average = "" if result.average == "probabilities" else f"mean of {result.average}"
    checkpoint = "" if result.checkpoint == "last" else result.checkpoint
    classes = f"{len(result.wnids)} classes" if result.wnids else ""
    networks = f"mean of {len(result.members)} networks" if result.members else ""
    images = "original images" if result.original else ""
    parts = (result.views, average, checkpoint, images, result.labels, classes, networks)
    return ", ".join(part for part in parts if part)


def _warning(result: Result) -> str:
    """Name the geometries if they differ, else nothing."""
    if result.geometry == result.trained_geometry:
        return ""
    both = result.geometry, result.trained_geometry
    scored, known = (MADE.get(geometry, geometry) for geometry in both)
    return f"\n{result.split}: {scored} to a square; the network was trained on {known} images"
