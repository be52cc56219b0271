"""What usually makes a replication's errors differ from the paper's, looked up in a recipe."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from alexrep.config.model import AlexNetModel
from alexrep.config.rates import Rates, rates_at
from alexrep.config.recipe import Recipe

State = Literal["as in 2012", "differs", "not known"]
NUM_TRAIN = {"ilsvrc2010": 1_261_406, "ilsvrc2012": 1_281_167}
"""Training images of the two editions."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run beside its recipe; None where it is not recorded."""

    edition: str | None
    geometry: str | None
    num_train: int | None
    num_epochs: int
    """Finished epochs."""


@dataclass(frozen=True)
class Cause:
    """One known cause of a gap."""

    point: str
    state: State
    found: str
    """What this run has."""
    effect: str
    """What it does to the error, where it is not as in 2012."""


def of(recipe: Recipe, facts: Facts) -> list[Cause]:
    """Look every known cause up, those that differ first.

    Source: the paper, the released source, and what replications report.
    """
    states: dict[bool | None, State] = {True: "as in 2012", False: "differs", None: "not known"}
    checks = (*OF_ALL, *(OF_ALEXNET if isinstance(recipe.model, AlexNetModel) else OF_OTHERS))
    found = [(point, *look(recipe, facts), effect) for point, look, effect in checks]
    causes = [Cause(point, states[same], value, effect) for point, same, value, effect in found]
    return sorted(causes, key=lambda cause: cause.state == "as in 2012")


Found = tuple[bool | None, str]
"""Whether a point is as in 2012, None where it is not known; and what the run has."""
Check = tuple[str, Callable[[Recipe, Facts], Found], str]
"""A point, what looks it up, and its effect."""


def _images(_recipe: Recipe, facts: Facts) -> Found:
    is_same = None if facts.edition is None else facts.edition in NUM_TRAIN
    return is_same, facts.edition or "not recorded"


def _num_train(_recipe: Recipe, facts: Facts) -> Found:
    num = facts.num_train
    wanted = NUM_TRAIN.get(facts.edition or "", min(NUM_TRAIN.values()))
    return (None, "not known") if num is None else (num >= 0.999 * wanted, f"{num:,}")


def _limits(recipe: Recipe, _facts: Facts) -> Found:
    limits = recipe.limits
    is_all = not limits.classes and limits.batches is None and limits.steps is None
    return is_all, "all" if is_all else "a part, see limits in the recipe"


def _geometry(_recipe: Recipe, facts: Facts) -> Found:
    is_same = None if facts.geometry is None else facts.geometry == "crop"
    return is_same, facts.geometry or "not recorded"


def _epochs(recipe: Recipe, facts: Facts) -> Found:
    return facts.num_epochs >= 80, f"{facts.num_epochs} finished of {recipe.schedule.epochs}"


def _layers(recipe: Recipe, _facts: Facts) -> Found:
    model = _model(recipe)
    is_same = model.width == 1 and model.side == 224 and not model.without and not model.doubled
    without = f", without {', '.join(model.without)}" if model.without else ""
    return is_same, f"width {model.width:g}, patches of {model.side}{without}"


def _towers(recipe: Recipe, _facts: Facts) -> Found:
    model = _model(recipe)
    is_same = model.num_towers == 2 and model.norm_scope == "tower"
    return is_same, f"{model.num_towers}, normalised over {model.norm_scope}"


def _normalisation(recipe: Recipe, _facts: Facts) -> Found:
    points = recipe.points()
    constants = next(value for name, value in points.items() if name.startswith("D4"))
    return _model(recipe).norm == "code", constants


def _initial(recipe: Recipe, _facts: Facts) -> Found:
    model = _model(recipe)
    is_same = model.initialisation == "code" and model.std_factor == 1
    return is_same, f"{model.initialisation}, deviations times {model.std_factor:g}"


def _crops(recipe: Recipe, _facts: Facts) -> Found:
    prepared, side = recipe.prepared_side, recipe.model.side
    is_same = None if prepared is None else (prepared, side) == (256, 224)
    return is_same, f"{side} of {prepared or 'any'}"


def _noise_end(recipe: Recipe, _facts: Facts) -> Found:
    is_off = not recipe.colour_noise.scale or not _rates(recipe)[-1].noise
    return is_off, "off" if is_off else "on to the end"


def _falls(recipe: Recipe, _facts: Facts) -> Found:
    weights = [rates.weights for rates in _rates(recipe)]
    num = sum(after < before for before, after in pairwise(weights))
    return num >= 3, f"lowered {num} x, from {weights[0]:g} to {weights[-1]:g}"


def _biases(recipe: Recipe, _facts: Facts) -> Found:
    first = _rates(recipe)[0]
    times = f"{first.biases / first.weights:g} times that of weights" if first.weights else "none"
    return first.biases == 2 * first.weights, times


def _rule(recipe: Recipe, _facts: Facts) -> Found:
    rule = recipe.optimiser
    is_same = (rule.name, rule.weight_decay) == ("momentum-2012", 0.0005) and not rule.decay_biases
    return is_same, f"{rule.name}, decay {rule.weight_decay:g}"


def _model(recipe: Recipe) -> AlexNetModel:
    assert isinstance(recipe.model, AlexNetModel), "only its checks ask"  # noqa: S101
    return recipe.model


def _rates(recipe: Recipe) -> list[Rates]:
    """Return the rates of each epoch; of errors that always fall, as a plateau's are unknown."""
    schedule = recipe.schedule
    return [rates_at(schedule, epoch, range(epoch + 1, 0, -1)) for epoch in range(schedule.epochs)]


OF_ALL: tuple[Check, ...] = (
    (
        "images of ILSVRC-2010 or -2012",
        _images,
        "the paper's errors are of ILSVRC: other images cannot be compared with them",
    ),
    ("all training images, 1.2 million", _num_train, "fewer images: more overfitting"),
    ("all classes, all batches", _limits, "another problem than the paper's"),
    (
        "shorter side rescaled, central square cut",
        _geometry,
        "squashed images: other proportions; Caffe's networks lose about 2 points centre",
    ),
    ("about 90 epochs", _epochs, "the last falls of the rate are missing, or come early"),
)
"""Checks of every run."""
OF_OTHERS: tuple[Check, ...] = (
    ("the network of 2012", lambda recipe, _: (False, recipe.model.name), "another network"),
)
"""Checks of other networks than that of 2012."""
OF_ALEXNET: tuple[Check, ...] = (
    (
        "all layers at full width, patches of 224",
        _layers,
        "a middle layer less costs about 2 points top-1; half the maps 1.7",
    ),
    ("two towers", _towers, "one tower of half the maps: 1.7 points top-1 (section 3.2)"),
    (
        "normalisation with k = 2 and alpha / 5",
        _normalisation,
        "undivided alpha normalises five times harder; k = 1 leaves larger signals",
    ),
    (
        "conv1: normalised, pooled, then ReLU",
        lambda recipe, _: (
            _model(recipe).conv1_order == "lrn-pool-relu",
            _model(recipe).conv1_order,
        ),
        "the paper's text has another order than the network whose errors it gives",
    ),
    (
        "initial deviations 0.03 in conv3 to conv5",
        _initial,
        "0.01 in conv3 to conv5: signals twelve times smaller, a long plateau or no learning",
    ),
    (
        "dropout of 0 or 1, halved in evaluation",
        lambda recipe, _: (_model(recipe).dropout == "mask", _model(recipe).dropout),
        "inverted dropout with these rates: fc7 and fc8 learn four times faster",
    ),
    (
        "random patches of 224 from 256",
        _crops,
        "fewer places to cut at: more overfitting (section 4.1)",
    ),
    (
        "reflections",
        lambda recipe, _: (recipe.reflected == 0.5, "yes" if recipe.reflected else "none"),
        "more overfitting (section 4.1)",
    ),
    (
        "colour noise of 0.1",
        lambda recipe, _: (
            recipe.colour_noise.scale == 0.1,
            f"{recipe.colour_noise.scale:g}",
        ),
        "without it over 1 point top-1 (section 4.1)",
    ),
    (
        "colour noise off in the last part",
        _noise_end,
        "noisy patches are divided by 1.1: training and test differ in scale",
    ),
    ("rate lowered three times or more", _falls, "each fall of the rate brings several points"),
    ("biases at twice the rate", _biases, "a slower start"),
    (
        "momentum rule of 2012, decay 0.0005",
        _rule,
        "without the decay the training error, too, is higher (section 5)",
    ),
    (
        "batches of 128",
        lambda recipe, _: (recipe.feed.batch_size == 128, str(recipe.feed.batch_size)),
        "256 at twice the rate was as good; larger batches were not",
    ),
)
"""Checks of the network of 2012."""
