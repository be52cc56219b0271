"""How original images are prepared for a run that is scored on them, and what a result says of it.

Weights from elsewhere that come with a preparation get theirs; all others are shown what
`alexrep preprocess` and `pack` would make of the image.
"""

from collections.abc import Sequence
from dataclasses import replace

from alexrep.errors import ConfigError, mismatch
from alexrep.evaluation.text import MADE
from alexrep.feed.preparation import Patches, ResizeAndCrop, Rule, Squares
from alexrep.runs.trained import Trained
from alexrep.shards.read import Split


def rule_of(network: Trained, kinds: Sequence[str]) -> Rule:
    """Return how the images are prepared for a network, and for all kinds of views at once.

    Raises:
        ConfigError: If the network's patch is larger than its images are resized to.
    """
    theirs, side = ResizeAndCrop.read(network.preparation), network.recipe.model.side
    if theirs is None:
        return Squares(network.target)
    if side > theirs.resize:
        wanted = f"at most {theirs.resize}, the shorter side by the weights' own preparation"
        raise ConfigError(mismatch("model.side", wanted, side, "import with a smaller one"))
    return Patches(replace(theirs, side=side), "ten-crop" in kinds)


def as_prepared(network: Trained) -> str:
    """Say in words how the images were prepared; see `rule_of`."""
    rule = rule_of(network, ())
    if isinstance(rule, Patches):
        own = rule.rule
        patches = f"patches of {own.side}"
        resized = f"shorter side to {own.resize} pixels ({own.filter})"
        return f"{resized}, as the weights' makers do, {patches}"
    own_target = network.target
    made = MADE.get(own_target.geometry, own_target.geometry)
    square = f"{made} to squares of {own_target.side} pixels ({own_target.resampling})"
    return f"{square}, then JPEG of quality {own_target.quality}, as alexrep preprocess does"


def otherwise(network: Trained, split: Split | None) -> str:
    """Say in what images differ from those that weights from elsewhere are scored on.

    Args:
        network: The network.
        split: The prepared images; None where the originals were prepared as `rule_of` says.
    """
    theirs, patch = ResizeAndCrop.read(network.preparation), network.recipe.model.side
    if not network.preparation or (split is None and theirs and theirs.side == patch):
        return ""
    own = f"the weights' own preparation is: {network.preparation}, from the original"
    if split is None:
        return f"{own}; here: patches of {patch}, as the run's recipe says"
    made = MADE.get(split.geometry, split.geometry)
    here = f"here: {made} to squares of {split.side} pixels and kept as JPEG, {patch} seen"
    return f"{own}; {here}; --original RAW in place of --data scores as they do"
