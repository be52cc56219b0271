"""What the page says of a run in words and lists: facts, images, environment, commands."""

import shlex
from collections.abc import Iterator
from typing import Any

from alexrep.prepare import tables
from alexrep.prepare.prepared import Prepared
from alexrep.runs.results import Result

from .contents import RunContents

Pairs = list[tuple[str, str]]
"""Names and values of a list."""

MOST_QUARANTINED = 500
"""Quarantined images that are listed at most; the rest are counted."""


def facts(run: RunContents) -> Pairs:
    """Return what a run is, and how far it has come."""
    described = run.description
    last = described.rows[-1] if described.rows else {}
    parameters = described.network.get("parameters")
    pairs = [
        ("Epochs", f"{last.get('epoch', 0)} of {run.recipe.schedule.epochs}"),
        ("Parameters", f"{parameters:,}" if isinstance(parameters, int) else None),
        ("Last training loss", _number(last.get("train_loss"))),
        ("Expected of the recipe", described.expected or None),
    ]
    return [(name, value) for name, value in pairs if value is not None]


def images(run: RunContents) -> Pairs:
    """Return what the images are, as far as the run's folder tells."""
    known = [(name.capitalize(), str(value)) for name, value in sorted(run.data.items())]
    counted = [
        (name.capitalize(), f"{num:,}") for name, num in run.counts.items() if "images" in name
    ]
    scored = [
        (f"Scored, {split}", f"{num:,}, {quarantined:,} of them in quarantine")
        for split, (num, quarantined) in _scored(run).items()
    ]
    return [*known, *counted, *scored]


def _scored(run: RunContents) -> dict[str, tuple[int, int]]:
    return {
        result.split: (result.num_images, result.num_quarantined) for result in run.results.values()
    }


def data_report(prepared: Prepared | None) -> dict[str, Any]:
    """Return counts, repairs and quarantine of the prepared images, where they are given."""
    if prepared is None:
        return {"verdicts": None, "quarantine": [], "num_quarantined": 0}
    return {
        "verdicts": tables.verdict_table(prepared.manifest),
        "quarantine": prepared.quarantine[:MOST_QUARANTINED],
        "num_quarantined": len(prepared.quarantine),
    }


def environment_of(run: RunContents) -> Pairs:
    """Return the environment that a run was begun in."""
    return [(name, _text(value)) for name, value in run.environment.items()]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def summary(run: RunContents) -> str:
    """Return the environment in a line."""
    known = run.environment
    parts = [f"{name} {known[name]}" for name in ("alexrep", "torch", "python") if name in known]
    devices = known.get("cuda_devices") or [known.get("device", "device not recorded")]
    return ", ".join([*parts, *map(str, devices)])


def commands(run: RunContents) -> list[str]:
    """Return the commands that make the parts of a run again."""
    return list(_commands(run))


def _commands(run: RunContents) -> Iterator[str]:
    folder = str(run.path)
    yield command("train", "DATA", "--run", folder, "--recipe", str(run.path / "recipe.toml"))
    for result in run.results.values():
        yield command("eval", folder, "--data", "DATA", *_eval_options(result))
    yield command("plot", folder)


def _eval_options(result: Result) -> Iterator[str]:
    yield from ("--split", result.split)
    if result.views == "ten-crop":
        yield "--ten-crop"
    if result.checkpoint != "last":
        yield from ("--checkpoint", result.checkpoint)


def command(*words: object) -> str:
    """Return a command line of alexrep."""
    return shlex.join(["alexrep", *map(str, words)])


def _number(value: object) -> str | None:
    return f"{value:.4f}" if isinstance(value, int | float) else None
