"""A recipe made for the data at hand: a network's own, at the side of these images."""

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel
from alexrep.config.recipe import Recipe

USUAL_SIDE = 256
"""Side of the prepared images that a recipe without `prepared_side` is made for; section 2."""
SHORT_NAMES = {"alexnet": "alexnet-2012"}
"""Other names of recipes."""
SMALL = "[5, 2]"
"""Side and stride of conv1's kernels for patches that are too small for the network's own."""
ANY = "resnet18"
"""Recipe whose settings a network of torchvision has that has no recipe of its own."""


def settings(arch: str, side: int) -> tuple[str, tuple[str, ...]]:
    """Return the recipe to take for a network, and the settings that fit it to images.

    The patch has the same part of the image's side as in the recipe.

    Args:
        arch: A recipe's name, or that of a network of torchvision.
        side: Side of the prepared images, in pixels.

    Returns:
        The name of the recipe, and settings of the form path=value.
    """
    name = SHORT_NAMES.get(arch, arch)
    known = name in recipes.names()
    own = () if known else (f"model.arch={arch}", f"name={arch}")
    base = recipes.load(name if known else ANY, own)
    return (name if known else ANY), (*own, *_of_side(base, side))


def _of_side(base: Recipe, side: int) -> tuple[str, ...]:
    usual = base.prepared_side or USUAL_SIDE
    if side == usual:
        return ()
    patch = round(side * base.model.side / usual)
    is_small = isinstance(base.model, AlexNetModel) and patch < base.model.min_side
    conv1 = (f"model.conv1={SMALL}",) if is_small else ()
    return f"prepared_side={side}", f"model.side={patch}", *conv1
