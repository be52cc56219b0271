"""Results as text."""

import json
from dataclasses import asdict
from pathlib import Path

from alexrep.runs.results import Result


def percent(error: float) -> str:
    """Write an error, a fraction, in percent."""
    return f"{100 * error:.2f} %"


MADE = {"crop": "cropped", "squash": "squashed"}


def line(result: Result) -> str:
    """Write a result on one line, and a second one if the network knew images of other geometry."""
    quarantined = f", {result.num_quarantined} quarantined counted as errors"
    return (
        f"{result.split}, {result.views}: top-1 error {percent(result.top1_error)}, "
        f"top-5 error {percent(result.top5_error)} ({result.num_images:,} images"
        f"{quarantined if result.num_quarantined else ''})"
        f"{_warning(result)}"
    )


def _warning(result: Result) -> str:
    """Name the geometries if they differ, else nothing."""
    if result.geometry == result.trained_geometry:
        return ""
    both = result.geometry, result.trained_geometry
    scored, known = (MADE.get(geometry, geometry) for geometry in both)
    return f"\n{result.split}: {scored} to a square; the network was trained on {known} images"


def document(result: Result) -> str:
    """Write a result as one JSON document."""
    return json.dumps(asdict(result), indent=1)


def table(results: Path) -> str:
    """Write all results of a run as a table.

    Args:
        results: The folder RUN/results.
    """
    rows = [f"{'split':<6}{'views':<10}{'images':>8}{'top-1 error':>14}{'top-5 error':>14}"]
    for path in sorted(results.glob("*.json")):
        one = Result(**json.loads(path.read_text(encoding="utf-8")))
        errors = f"{percent(one.top1_error):>14}{percent(one.top5_error):>14}"
        rows.append(f"{one.split:<6}{one.views:<10}{one.num_images:>8,}{errors}")
    return "\n".join(rows)
