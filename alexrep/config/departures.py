"""In which points a recipe departs from net 145 of the released 2012 source.

D1 to D5 are the points in which the paper itself departs from that network: the order of
conv1, the second normalisation of conv2, the initial deviations, the constant of the
normalisation, and the rates of biases and of conv1. What a point is called, and how its
values read, is defined with the fields: `Label` and `points` in the settings classes.
"""

import re
from collections.abc import Callable

from alexrep.config import recipes
from alexrep.config.curves import Curve
from alexrep.config.rates import Rates, rates_at
from alexrep.config.recipe import Recipe

QUALITY_2012 = 85
REFERENCE = "alexnet-2012"
"""The recipe of net 145 with the hand schedule of its run on ILSVRC-2012."""


def of(recipe: Recipe) -> list[str]:
    """Name the points in which `recipe` departs from net 145 as released.

    Seed, memory layout, compilation and checkpoints are no points: they change no expectation.

    Returns:
        A line for each, `<point>: <recipe's>; net 145: <its own>`, D1 to D4 first and the rates
        last; none for the recipe alexnet-2012. Of a network other than the 2012 one, only that.

    Source: FIDELITY sections 0 to 6, where the points are D1 to D5 and those beside them.
    """
    released = recipes.load(REFERENCE)
    if recipe.model.name != released.model.name:
        return [f"another network: {recipe.model.title}; net 145: {released.model.name}"]
    mine, theirs = recipe.points(), released.points()
    lines = [
        f"{label}: {mine.get(label, 'none')}; net 145: {theirs.get(label, 'none')}"
        for label in mine | theirs
        if mine.get(label) != theirs.get(label)
    ]
    return sorted(lines, key=_number) + _first_differences(recipe, released)


OF_THE_PROGRAM = (
    "ties in max pooling: the gradient goes to one cell; 2012: to every tied cell",
    "epochs: counted as finished ones; 2012: from 1, so that rates may fall up to one epoch later",
)
"""Departures of every run from the released source, whatever its recipe and data."""


def of_data(geometry: str, quality: int | None, resampling: str | None) -> list[str]:
    """Name the points in which prepared images depart from those of 2012.

    Args:
        geometry: How they were made square, "crop" or "squash".
        quality: Quality of their JPEGs; None if it is not recorded.
        resampling: Filter that they were rescaled with; None if it is not recorded.

    Source: FIDELITY section 1. The quality of 2012 is inferred from the name of a folder.
    """
    lines = []
    if geometry != "crop":
        lines.append(f"geometry: {geometry}; 2012: crop")
    if quality != QUALITY_2012:
        known = "not recorded" if quality is None else quality
        lines.append(f"JPEG quality: {known}; 2012: {QUALITY_2012}, as a folder's name suggests")
    lines.append(f"filter of rescaling: {resampling or 'not recorded'}; 2012: not known")
    return lines


def _number(line: str) -> str:
    return line[:2] if re.match(r"D\d ", line) else "others"


def _first_differences(recipe: Recipe, released: Recipe) -> list[str]:
    """Name the first epoch in which each rate, or the noise, is another."""
    last = min(recipe.schedule.epochs, released.schedule.epochs)
    pairs = [(_rates(recipe, epoch), _rates(released, epoch)) for epoch in range(last)]
    lines = []
    for label, value in RATE_POINTS:
        for epoch, (mine, theirs) in enumerate(pairs):
            shown, wanted = value(recipe, mine), value(released, theirs)
            if shown != wanted:
                lines.append(f"{label} from epoch {epoch}: {shown}; net 145: {wanted}")
                break
    return lines


def of_schedules(first: Recipe, second: Recipe) -> list[str]:
    """Name the epochs in which rates or noise differ, as `epochs 25 to 50: weights 0.1 -> 0.01`.

    Epochs count the finished ones, from 0, and go as far as the shorter of the two runs.
    """
    lines, begin = [], 0
    last = min(first.schedule.epochs, second.schedule.epochs)
    pairs = [(_shown(first, epoch), _shown(second, epoch)) for epoch in range(last)]
    for epoch in range(1, last + 1):
        if epoch == last or pairs[epoch] != pairs[begin]:
            mine, theirs = pairs[begin]
            changes = [
                f"{key} {mine[key]} -> {theirs[key]}" for key in mine if mine[key] != theirs[key]
            ]
            span = f"epoch {begin}" if epoch - begin == 1 else f"epochs {begin} to {epoch - 1}"
            lines += [f"schedule, {span}: {', '.join(changes)}"] if changes else []
            begin = epoch
    return lines


def _span(first: int, last: int) -> str:
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def _shown(recipe: Recipe, epoch: int) -> dict[str, str]:
    rates = _rates(recipe, epoch)
    return {label.removeprefix("D5 "): value(recipe, rates) for label, value in RATE_POINTS}


def _rates(recipe: Recipe, epoch: int) -> Rates:
    # Errors that always fall: a plateau is named by its rule, as its epochs are not known.
    return rates_at(recipe.schedule, epoch, range(epoch + 1, 0, -1))


def _rate(curve: Curve | None, rate: float) -> str:
    return f"{rate:g}" if curve is None else curve.show(rate)


def _own(rates: Rates) -> str:
    own = sorted(rates.layers.items())
    return ", ".join(f"{layer} {w:g} and {b:g}" for layer, (w, b) in own) or "none"


def _noise(recipe: Recipe, rates: Rates) -> str:
    return "on" if rates.noise and recipe.colour_noise.scale else "off"


RatePoint = tuple[str, Callable[[Recipe, Rates], str]]

RATE_POINTS: tuple[RatePoint, ...] = (
    ("rate of weights", lambda recipe, rates: _rate(recipe.schedule.curves[0], rates.weights)),
    ("D5 rate of biases", lambda recipe, rates: _rate(recipe.schedule.curves[1], rates.biases)),
    ("D5 rates of single layers", lambda _recipe, rates: _own(rates)),
    ("colour noise", _noise),
)
"""What is compared epoch by epoch, as rates are made of several fields."""
