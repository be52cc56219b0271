"""`alexrep plot`: the pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .cli import options

if TYPE_CHECKING:
    from alexrep.manifest import Plan


def command(run: options.Run) -> None:
    """Draw every picture that a run has the numbers for: RUN/plots.

    Errors and losses, the first layer's kernels, the mean image, the colour axes, and
    after alexrep eval a sheet of images with their likeliest classes.

    \b
    Example: alexrep plot runs/first
    """
    from importlib.metadata import version

    from alexrep import files, locks, manifest
    from alexrep.plots import gallery
    from alexrep.runs import contents, state
    from alexrep.runs.folder import RunFolder

    folder, out = RunFolder(run), run / "plots"
    folder.read_recipe()
    with locks.held(run) as owned:
        versions: Any = {"matplotlib": version("matplotlib")}
        plan = manifest.Plan(stage="plot", settings=versions, inputs=state.digests(folder))
        if _is_drawn(plan, out / manifest.NAME):
            typer.echo(f"{out}: drawn before from the same numbers, nothing to do")
            return
        drawn = gallery.draw_all(run, out)
        faults = [
            one for one in drawn.values() if not isinstance(one, Path | contents.NothingToShow)
        ]
        made = {p.name: files.sha256_file(p) for p in drawn.values() if isinstance(p, Path)}
        if not faults:
            manifest.finish(plan, out / manifest.NAME, {"pictures": len(made)}, made, None, owned)
    for name, outcome in drawn.items():
        (options.note if outcome in faults else typer.echo)(f"{name}: {outcome}")
    raise typer.Exit(1 if faults else 0)


def _is_drawn(plan: Plan, record: Path) -> bool:
    """Tell whether the pictures show these numbers; a run that has gone on is drawn anew."""
    from alexrep import manifest

    found = manifest.read(record, plan.stage) if record.exists() else None
    if found is None or (found.settings, found.inputs) != (plan.settings, plan.inputs):
        return False
    return all((record.parent / name).is_file() for name in found.outputs)
