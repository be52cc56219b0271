"""All pictures of a run by name, and the function that draws them."""

import importlib
from pathlib import Path

from alexrep import files, manifest
from alexrep.errors import AlexrepError
from alexrep.manifest import Plan

FIGURES = {
    "curves": "curves",
    "kernels": "kernels",
    "predictions": "predictions",
    "mean-image": "mean_image",
    "colour-axes": "colour_axes",
}
"""Module that draws each picture, by the picture's name: its file's name without .png."""


def draw_all(run: Path, folder: Path) -> dict[str, Path | AlexrepError]:
    """Draw every picture whose inputs exist into `folder`.

    If a picture cannot be drawn, one left by an earlier call is removed: it would show
    another state of the run.

    Returns:
        For each name in `FIGURES` the PNG file, or why there is none: a NothingToShow,
        or an error that needs fixing.
    """
    files.sweep_ours(folder)
    return {name: _draw(module, run, folder / f"{name}.png") for name, module in FIGURES.items()}


def is_drawn(plan: Plan, folder: Path) -> bool:
    """Tell whether all pictures are in `folder` and were drawn from the inputs of `plan`.

    Raises:
        ManifestError: If the folder belongs to another stage.
    """
    record = folder / manifest.NAME
    drawn = manifest.read(record, plan.stage) if record.exists() else None
    if drawn is None or (drawn.settings, drawn.inputs) != (plan.settings, plan.inputs):
        return False
    return all((folder / name).is_file() for name in drawn.outputs)


def _draw(module: str, run: Path, out: Path) -> Path | AlexrepError:
    try:
        # Imported here: matplotlib and torch are slow to import, and FIGURES needs neither.
        importlib.import_module(f".{module}", __package__).draw(run, out)
    except AlexrepError as error:
        out.unlink(missing_ok=True)
        return error
    return out
