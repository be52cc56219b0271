"""Draws the views of one scored image: the ten patches, and where they lie on it.

Lengths are in inches, from the top left corner of the page.

Source: Krizhevsky et al. 2012, section 4.1.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alexrep.config.recipe import Recipe
from alexrep.errors import mismatch
from alexrep.feed.views import corners
from alexrep.runs.contents import NothingToShow, Pixels, name_of, read_recipe, read_scored

from . import style

TOP, IMAGE = 1.4, 2.5
"""Top of the pictures, and side of the image."""
CELL = (style.WIDTH - 2 * style.MARGIN - IMAGE - 0.35 - 4 * 0.09) / 5
"""Side of a patch."""
NAMES = ("top left", "top right", "centre", "bottom left", "bottom right")
COLOURS = (style.BLUE, style.VERMILLION, style.INK, style.GREEN, style.PURPLE)
"""Of the five patches, in the order of `feed.views.corners`."""


def draw(run: Path) -> Figure:
    """Draw the ten patches of the first image that eval kept, with their frames on it.

    Raises:
        NothingToShow: If no image was kept, or the patch is as large as the image.
        DataError: If results or recipe are damaged.
    """
    recipe, scored = read_recipe(run), read_scored(run)
    images, side = scored.predictions.sheet_images, recipe.model.side
    if not len(images):
        what = scored.path, "images for the sheet", "none", "run alexrep eval again"
        raise NothingToShow(mismatch(*what))
    image, name = images[0], scored.predictions.names[scored.predictions.sheet_rows[0]]
    if len(image) <= side:
        wanted, advice = f"images larger than the patch of {side}", "the only view is the image"
        raise NothingToShow(mismatch(run, wanted, len(image), advice))
    with style.canvas(TOP + IMAGE + style.MARGIN) as figure:
        lines = summary(recipe, len(image), name.decode("utf-8", "replace"))
        style.title(figure, f"{name_of(run)}: the ten views of an image", *lines)
        page = style.page(figure)
        _whole(page, image, side)
        _patches(page, image, side)
    return figure


def summary(recipe: Recipe, stored: int, name: str) -> tuple[str, str]:
    """Return the subtitle: the sizes, and how many views training draws from."""
    side, places = recipe.model.side, stored - recipe.model.side + 1
    sizes = (
        f"{name}: {stored} {style.CROSS} {stored} pixels, patches of {side} {style.CROSS} {side}"
    )
    num = places**2 * (2 if recipe.reflected else 1)
    reflected = ", reflected or not" if recipe.reflected else ""
    drawn = f"training draws one of {num:,} views: {places} {style.CROSS} {places} places"
    if any(step.kind == "resized-patch" for step in recipe.augmentations):
        drawn = "training draws parts of other sizes, too, and resizes them"
    return sizes, f"{drawn}{reflected}"


def _whole(page: Axes, image: Pixels, side: int) -> None:
    """Draw the whole image, and the frames of the five patches on it."""
    left, scale = style.MARGIN, IMAGE / len(image)
    show(page, image, left, TOP, IMAGE)
    for (row, column, _), colour in zip(_five(image, side), COLOURS, strict=True):
        corner = left + column * scale, TOP + row * scale
        page.add_patch(Rectangle(corner, side * scale, side * scale, fc="none", ec=colour, lw=1.6))


def _patches(page: Axes, image: Pixels, side: int) -> None:
    """Draw the five patches, and below each its reflection."""
    left, below = style.MARGIN + IMAGE + 0.35, IMAGE - CELL - 0.2
    for index, (row, column, _) in enumerate(_five(image, side)):
        patch, x = image[row : row + side, column : column + side], left + index * (CELL + 0.09)
        page.text(x, TOP + 0.08, NAMES[index], size=style.SMALL, va="center_baseline")
        for y, shown in ((TOP + 0.2, patch), (TOP + below + 0.2, patch[:, ::-1])):
            show(page, shown, x, y, CELL)
            frame = Rectangle((x, y), CELL, CELL, fc="none", ec=COLOURS[index], lw=1.6)
            page.add_patch(frame)
    y = TOP + below + 0.08
    page.text(left, y, "reflected", size=style.SMALL, va="center_baseline")


def _five(image: Pixels, side: int) -> list[tuple[int, int, bool]]:
    return corners("ten-crop", len(image) - side)[:5]


def show(page: Axes, image: Pixels, left: float, top: float, side: float) -> None:
    """Draw an image with its top left corner at a place of the page."""
    extent = (left, left + side, top + side, top)
    page.imshow(image, extent=extent, aspect="auto", interpolation="lanczos")
