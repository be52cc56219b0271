"""All pictures of a run by name, and the function that draws them."""

import importlib
from collections.abc import Collection
from pathlib import Path

from alexrep import files, manifest
from alexrep.errors import AlexrepError, ConfigError, mismatch, suggestion
from alexrep.manifest import Plan

FIGURES = {
    "curves": "curves",
    "kernels": "kernels",
    "predictions": "predictions",
    "mean-image": "mean_image",
    "colour-axes": "colour_axes",
    "confusion": "confusion",
    "class-errors": "class_errors",
    "calibration": "calibration",
    "views": "views",
    "augmentations": "augmentations",
    "network": "network",
    "speed": "speed",
}
"""Module that draws each picture, by the picture's name: its file's name without the ending."""
PHOTOGRAPHS = ("predictions", "views", "augmentations")
"""Pictures that show images of the data set, which its terms may not let you publish."""


def require(names: Collection[str]) -> None:
    """Refuse a picture that there is none of.

    Raises:
        ConfigError: If a name is not in `FIGURES`.
    """
    for name in names:
        if name not in FIGURES:
            advice = suggestion(name, list(FIGURES)) or "choose of these"
            raise ConfigError(mismatch("--only", ", ".join(FIGURES), repr(name), advice))


def draw_all(
    run: Path, folder: Path, names: Collection[str] = tuple(FIGURES), form: str = "png"
) -> dict[str, Path | AlexrepError]:
    """Draw every picture of `names` whose inputs exist into `folder`.

    If a picture cannot be drawn, one left by an earlier call is removed: it would show
    another state of the run.

    Args:
        run: The run's folder.
        folder: Where the pictures go.
        names: Some of `FIGURES`.
        form: "png" or "svg".

    Returns:
        For each name the picture's file, or why there is none: a NothingToShow,
        or an error that needs fixing.
    """
    files.sweep_ours(folder)
    wanted = [name for name in FIGURES if name in names]
    return {name: draw_into(folder / f"{name}.{form}", FIGURES[name], run) for name in wanted}


def draw_into(out: Path, module: str, what: object) -> Path | AlexrepError:
    """Draw the picture of a module into a file; without it, remove the one that is there.

    Args:
        out: The file.
        module: Module of this package; its `draw` returns the figure.
        what: What `draw` is given.

    Returns:
        The file, or why there is none.
    """
    # Imported here: matplotlib and torch are slow to import, and FIGURES needs neither.
    draw = importlib.import_module(f".{module}", __package__).draw
    style = importlib.import_module(".style", __package__)
    try:
        style.save(draw(what), out)
    except AlexrepError as error:
        out.unlink(missing_ok=True)
        return error
    return out


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
