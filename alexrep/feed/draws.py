"""The random draws for training patches: place, reflection, colours, order of the steps.

Pure functions of (seed, epoch, image), so that worker count, batch size, number
of devices and a restart change nothing. N images.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed
from alexrep.config.augmentations import CUTS, Jitter, ResizedPatch
from alexrep.config.recipe import Recipe

Rows = slice | NDArray[np.int64]
GROUP = 32
"""Consecutive images that share offset and reflection under `group32`, as in 2012."""
TRIES = 10
"""Tries to fit a part of random area and shape into an image, as torchvision's."""
_ROW, _COLUMN, _REFLECT, _NOISE = 2, 3, 4, 5
_PART, _JITTER, _TURNS, _STEPS = 7, 8, 9, 10


@dataclass(frozen=True)
class ListedDraws:
    """What a recipe's list of augmentations draws beside the rest, for N images and K steps."""

    steps: tuple[str, ...]
    """Kinds of the steps, as listed, K."""
    order: NDArray[np.int64]
    """Number of the step that comes first, second, ..., (N, K)."""
    parts: NDArray[np.int64]
    """Row, column, height and width of the part that is resized, (N, 4)."""
    jitter: NDArray[np.float32]
    """Factors on brightness, contrast and saturation, and the share of a turn of the hue, (N, 4).
    What is not jittered has a factor of 1, or no turn."""
    turns: NDArray[np.int64]
    """Which of these four comes first, second, third and fourth, (N, 4)."""
    jittered: tuple[int, ...]
    """Which of them change anything."""

    def rows(self, rows: Rows) -> "ListedDraws":
        """Return the draws of some of the images."""
        chosen = {name: getattr(self, name)[rows] for name in ("order", "parts", "jitter", "turns")}
        return replace(self, **chosen)


@dataclass(frozen=True)
class Draws:
    """The draws for N images."""

    offsets: NDArray[np.int64]
    """Row and column of the patch's corner, (N, 2), each 0 to border."""
    reflect: NDArray[np.bool_]
    """Whether to reflect, (N,)."""
    alphas: NDArray[np.float32]
    """Standard normal factors along the three colour axes, (N, 3)."""
    listed: ListedDraws | None = None
    """The draws of a list of augmentations; None where these are all."""

    def rows(self, rows: Rows) -> "Draws":
        """Return the draws of some of the images."""
        listed = None if self.listed is None else self.listed.rows(rows)
        return Draws(self.offsets[rows], self.reflect[rows], self.alphas[rows], listed)


def of_recipe(recipe: Recipe, images: NDArray[np.int64], side: int, epoch: int) -> Draws:
    """Draw what a recipe asks for.

    Args:
        recipe: The recipe.
        images: Indices of the images, (N,).
        side: Side of the stored images, in pixels.
        epoch: Number of finished epochs.
    """
    border, seed, share = side - recipe.model.side, recipe.seed, recipe.reflected
    drawn = draw(images, border, recipe.feed.draws, share > 0, seed, epoch, share=share)
    if any(isinstance(step, ResizedPatch | Jitter) for step in recipe.augmentations):
        return replace(drawn, listed=_listed(recipe, images, side, epoch))
    # Places, reflections and an added colour: their order changes nothing.
    return drawn


def draw(
    images: NDArray[np.int64],
    border: int,
    draws: str,
    reflect: bool,
    seed: int,
    epoch: int,
    *,
    share: float = 0.5,
) -> Draws:
    """Draw offset, reflection and noise of `images` in one epoch.

    Args:
        images: Indices of the images, (N,).
        border: Largest offset; 32 for 224 of 256, 33 positions each way as in
            the released source (the paper's 2048 counts 32).
        draws: "image", or "group32": offset and reflection once for each 32
            consecutive images. The noise is always per image.
        reflect: Whether patches are reflected.
        seed: The recipe's seed.
        epoch: Number of finished epochs.
        share: Share of the patches that are reflected, if any are.

    Raises:
        ValueError: If `draws` is unknown.

    Source: Krizhevsky et al. 2012, section 4.1, and the released source's
    provider of JPEG batches.
    """
    if draws not in ("image", "group32"):
        raise ValueError(f"draws: expected 'image' or 'group32', found {draws!r}")
    shared = images if draws == "image" else images // GROUP
    rows = keyed.below(border + 1, seed, _ROW, epoch, shared)
    columns = keyed.below(border + 1, seed, _COLUMN, epoch, shared)
    coins = keyed.uniform(seed, _REFLECT, epoch, shared) >= 1 - share
    alphas = keyed.normal(seed, _NOISE, epoch, images[:, None], np.arange(3))
    return Draws(
        offsets=np.stack([rows, columns], axis=1),
        reflect=coins if reflect else np.zeros_like(coins),
        alphas=alphas.astype(np.float32),
    )


def _listed(recipe: Recipe, images: NDArray[np.int64], side: int, epoch: int) -> ListedDraws:
    steps, seed = recipe.augmentations, recipe.seed
    kinds, whole = tuple(step.kind for step in steps), np.array([0, 0, side, side])
    parts, strengths = np.tile(whole, (len(images), 1)), (0.0,) * 4
    jitter = np.tile(np.array([1, 1, 1, 0], np.float32), (len(images), 1))
    for step in steps:
        if isinstance(step, ResizedPatch):
            parts = parts_of(step, images, side, seed, epoch)
        if isinstance(step, Jitter):
            jitter, strengths = _jitter(step, images, seed, epoch), step.strengths
    turns = keyed.bits(seed, _TURNS, epoch, images[:, None], np.arange(4)).argsort(axis=1)
    order = np.tile(np.arange(len(kinds)), (len(images), 1))
    if recipe.augmentation_order == "random":
        free = np.array([number for number, kind in enumerate(kinds) if kind not in CUTS])
        keys = keyed.bits(seed, _STEPS, epoch, images[:, None], np.arange(len(free)))
        order[:, free] = free[keys.argsort(axis=1)]
    jittered = tuple(number for number, strength in enumerate(strengths) if strength)
    return ListedDraws(kinds, order, parts, jitter, turns, jittered)


def parts_of(
    step: ResizedPatch, images: NDArray[np.int64], side: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Draw row, column, height and width of the part of each image that is resized, (N, 4).

    Ten tries of an area and a logarithm of the ratio; the first that fits in is taken, at any
    place. If none does, the whole image, or the largest central part of the nearest ratio.

    Source: torchvision's RandomResizedCrop.
    """
    tries = np.arange(TRIES)
    draws = [keyed.uniform(seed, _PART, epoch, images[:, None], tries, key) for key in range(4)]
    areas, ratios, rows, columns = draws
    (least, largest), (narrow, wide) = step.scale, np.log(step.ratio)
    area = side**2 * (least + (largest - least) * areas)
    ratio = np.exp(narrow + (wide - narrow) * ratios)
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (widths > 0) & (widths <= side) & (heights > 0) & (heights <= side)
    sizes = np.stack([heights, widths], axis=2)
    # Places from 0 to the side less the size, equally likely.
    corners = np.floor(np.stack([rows, columns], axis=2) * (side - sizes + 1))
    drawn = np.concatenate([corners, sizes], axis=2)[np.arange(len(images)), fits.argmax(axis=1)]
    parts: NDArray[np.int64] = np.where(fits.any(axis=1)[:, None], drawn, _central(step, side))
    return parts.astype(np.int64)


def _central(step: ResizedPatch, side: int) -> tuple[int, int, int, int]:
    """Return the largest central part of a square of a ratio that is allowed."""
    narrow, wide = step.ratio
    height = round(side / narrow) if narrow > 1 else side
    width = round(side * wide) if wide < 1 else side
    return (side - height) // 2, (side - width) // 2, height, width


def _jitter(step: Jitter, images: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.float32]:
    strengths = np.array(step.strengths)
    least, largest = np.maximum(0, 1 - strengths), 1 + strengths
    least[3], largest[3] = -step.hue, step.hue
    drawn = keyed.uniform(seed, _JITTER, epoch, images[:, None], np.arange(4))
    factors: NDArray[np.float32] = (least + (largest - least) * drawn).astype(np.float32)
    return factors


def shuffled_labels(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Permute the labels: the control experiment, in which nothing can be learnt."""
    return labels[keyed.permutation(len(labels), seed, 6)]
