"""What is subtracted from the pixels, and by what the rest is multiplied: the kinds of input.

Shapes: S side of the stored images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexrep.config.input import OWN, Colour, Input
from alexrep.errors import ConfigError, mismatch

UNCHANGED: Colour = (1.0, 1.0, 1.0)
"""Factors that change nothing."""


@dataclass(frozen=True)
class Constants:
    """The constants of an input, as checkpoints keep them; RGB, grey levels."""

    mean: NDArray[np.float32]
    """What is subtracted, (S, S, 3): a mean image, or one colour everywhere."""
    factors: Colour = UNCHANGED
    """What the rest of each channel is multiplied by."""


def constants(
    chosen: Input, mean_image: NDArray[np.float32], deviations: NDArray[np.float64] | None
) -> Constants:
    """Return the constants of an input.

    Args:
        chosen: The recipe's input.
        mean_image: The data set's mean image, grey levels, (S, S, 3).
        deviations: Standard deviations of the data set's channels, grey levels, (3,); None if
            they are not known.

    Raises:
        ConfigError: If the data set's own deviations are asked for, and are not known or zero.
    """
    return Constants(_mean(chosen, mean_image), _factors(chosen, deviations))


def _mean(chosen: Input, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
    if chosen.subtracted == "image":
        return mean_image
    own = mean_image.mean(axis=(0, 1), dtype=np.float64)
    colour = own if chosen.subtracted == OWN else chosen.subtracted
    return np.full(mean_image.shape, colour, np.float32)


def _factors(chosen: Input, deviations: NDArray[np.float64] | None) -> Colour:
    divisors = chosen.divisors
    if divisors == OWN:
        divisors = _own(deviations)
    red, green, blue = (1 / divisor for divisor in divisors)
    return red, green, blue


def _own(deviations: NDArray[np.float64] | None) -> Colour:
    if deviations is None or not (deviations > 0).all():
        wanted, advice = "the data's own deviations, above 0", "give three numbers"
        found = "none" if deviations is None else ", ".join(f"{n:g}" for n in deviations)
        raise ConfigError(mismatch("input.deviation", wanted, found, advice))
    red, green, blue = deviations.tolist()
    return red, green, blue
