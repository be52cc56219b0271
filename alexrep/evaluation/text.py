"""Results as text."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from alexrep.runs.results import Result

MADE = {"crop": "cropped", "squash": "squashed"}


def percent(error: float) -> str:
    """Write an error, a fraction, in percent."""
    return f"{100 * error:.2f} %"


def line(result: Result) -> str:
    """Write a result on one line, and a second one if the network knew images of other geometry."""
    quarantined = f", {result.num_quarantined} quarantined counted as errors"
    return (
        f"{result.split}, {_views(result)}: top-1 error {percent(result.top1_error)}, "
        f"top-5 error {percent(result.top5_error)} ({result.num_images:,} images"
        f"{quarantined if result.num_quarantined else ''})"
        f"{_warning(result)}"
    )


def document(result: Result) -> str:
    """Write a result as one JSON document."""
    return json.dumps(asdict(result), indent=1)


def table(results: Iterable[Result]) -> str:
    """Write results as a table, a line each."""
    shown = [(_views(result), result) for result in results]
    wide = max([10, *(len(views) + 2 for views, _ in shown)])
    rows = [f"{'split':<6}{'views':<{wide}}{'images':>8}{'top-1 error':>14}{'top-5 error':>14}"]
    for views, result in shown:
        errors = f"{percent(result.top1_error):>14}{percent(result.top5_error):>14}"
        rows.append(f"{result.split:<6}{views:<{wide}}{result.num_images:>8,}{errors}")
    return "\n".join(rows)


def _views(result: Result) -> str:
    """Name the views, and the checkpoint and the labels where they are not the usual ones."""
    checkpoint = "" if result.checkpoint == "last" else result.checkpoint
    return ", ".join(part for part in (result.views, checkpoint, result.labels) if part)


def _warning(result: Result) -> str:
    """Name the geometries if they differ, else nothing."""
    if result.geometry == result.trained_geometry:
        return ""
    both = result.geometry, result.trained_geometry
    scored, known = (MADE.get(geometry, geometry) for geometry in both)
    return f"\n{result.split}: {scored} to a square; the network was trained on {known} images"
