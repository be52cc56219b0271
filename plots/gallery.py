"""The pictures there are, by name, and the command that draws all of them."""

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
"""Name of each picture, which is its file's name without .png, and the module that draws it."""


def draw_all(run: Path, folder: Path) -> dict[str, Path | AlexrepError]:
    """Draw every picture whose inputs are there into `folder`.

    A picture that cannot be drawn is also removed, if an earlier call left one:
    it would show another state of the run.

    Returns:
        For each name in `FIGURES` the PNG file, or the reason why there is none: a
        NothingToShow, or an error that somebody has to mend.
    """
    files.sweep_ours(folder)
    return {name: _draw(module, run, folder / f"{name}.png") for name, module in FIGURES.items()}


def is_drawn(plan: Plan, folder: Path) -> bool:
    """Tell whether the pictures in `folder` are all there and show the numbers that `plan` names.

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
        # Imported here, since matplotlib and torch take longer than naming the pictures.
        importlib.import_module(f".{module}", __package__).draw(run, out)
    except AlexrepError as error:
        out.unlink(missing_ok=True)
        return error
    return out
