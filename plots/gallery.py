"""The pictures there are, by name, and the command that draws all of them."""

import importlib
from pathlib import Path

from alexrep.errors import AlexrepError

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
    return {name: _draw(module, run, folder / f"{name}.png") for name, module in FIGURES.items()}


def _draw(module: str, run: Path, out: Path) -> Path | AlexrepError:
    try:
        # Imported here, since matplotlib and torch take longer than naming the pictures.
        importlib.import_module(f".{module}", __package__).draw(run, out)
    except AlexrepError as error:
        out.unlink(missing_ok=True)
        return error
    return out
