"""Draws what training makes of one scored image: the patches of its first fifteen epochs.

Lengths are in inches, from the top left corner of the page.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from alexrep.config.recipe import Recipe
from alexrep.errors import mismatch
from alexrep.feed import draws
from alexrep.feed.augment import pictures
from alexrep.runs.contents import (
    NothingToShow,
    Pixels,
    name_of,
    read_recipe,
    read_scored,
    read_trained,
)
from alexrep.runs.trained import Trained

from . import style
from .views import CELL, IMAGE, TOP, show

EPOCHS, ACROSS = 15, 5
"""Patches, and how many of them stand in a row."""


def draw(run: Path) -> Figure:
    """Draw the first image that eval kept, and fifteen patches of it as training would see them.

    Raises:
        NothingToShow: If no image was kept, or there is no checkpoint.
        DataError: If results, recipe or checkpoint are damaged.
    """
    recipe, scored = read_recipe(run), read_scored(run)
    images = scored.predictions.sheet_images
    if not len(images):
        what = scored.path, "images for the sheet", "none", "run alexrep eval again"
        raise NothingToShow(mismatch(*what))
    name = scored.predictions.names[scored.predictions.sheet_rows[0]].decode("utf-8", "replace")
    with style.canvas(TOP + 3 * (CELL + 0.09) + style.MARGIN) as figure:
        title = f"{name_of(run)}: what training makes of an image"
        style.title(figure, title, f"{name}, and as it is in fifteen epochs", summary(recipe))
        page, left = style.page(figure), style.MARGIN + IMAGE + 0.35
        show(page, images[0], style.MARGIN, TOP, IMAGE)
        for index, patch in enumerate(patches(read_trained(run), recipe, images[0])):
            row, column = divmod(index, ACROSS)
            y = TOP + row * (CELL + 0.09)
            show(page, patch, left + column * (CELL + 0.09), y, CELL)
    return figure


def summary(recipe: Recipe) -> str:
    """Return the subtitle: the steps of augmentation."""
    if recipe.augmentations:
        listed = "; ".join(step.show() for step in recipe.augmentations)
        return f"{listed} ({recipe.augmentation_order})"
    reflected = ", reflected or not" if recipe.reflected else ""
    noise = recipe.colour_noise.scale
    return f"a patch{reflected}" + (f", with colour noise of {noise:g}" if noise else "")


def patches(network: Trained, recipe: Recipe, image: Pixels) -> list[Pixels]:
    """Return what training makes of an image in each of the first epochs, RGB, (P, P, 3) each.

    Args:
        network: The checkpoint, which has the colour axes.
        recipe: The run's recipe.
        image: RGB, (S, S, 3); it takes the draws of the first training image.
    """
    inputs, first = network.inputs(), np.zeros(1, np.int64)
    images = torch.from_numpy(image[None].copy())
    drawn = (draws.of_recipe(recipe, first, len(image), epoch) for epoch in range(EPOCHS))
    return [pictures(images, each, inputs, noisy=True)[0] for each in drawn]
