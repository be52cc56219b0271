"""What usually makes a replication's errors differ from the paper's, looked up in a recipe."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from alexrep.config.model import AlexNetModel
from alexrep.config.rates import rates_at
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
    causes = [check(recipe, facts) for check in _checks(recipe)]
    return sorted(causes, key=lambda cause: cause.state == "as in 2012")


Check = Callable[[Recipe, Facts], Cause]


def _checks(recipe: Recipe) -> Iterator[Check]:
    yield from (_images, _num_train, _classes, _squash, _epochs)
    if not isinstance(recipe.model, AlexNetModel):
        yield _network
        return
    yield from (_width, _towers, _normalisation, _conv1_order, _initial, _dropout)
    yield from (_crops, _reflections, _noise, _noise_end, _rates, _biases, _decay, _batch)


def _cause(point: str, is_same: bool | None, found: str, effect: str) -> Cause:
    states: dict[bool | None, State] = {True: "as in 2012", False: "differs", None: "not known"}
    return Cause(point, states[is_same], found, effect)


def _images(_recipe: Recipe, facts: Facts) -> Cause:
    is_same = None if facts.edition is None else facts.edition in NUM_TRAIN
    effect = "the paper's errors are of ILSVRC: other images cannot be compared with them"
    return _cause("images of ILSVRC-2010 or -2012", is_same, facts.edition or "unknown", effect)


def _num_train(_recipe: Recipe, facts: Facts) -> Cause:
    found = facts.num_train
    wanted = NUM_TRAIN.get(facts.edition or "", min(NUM_TRAIN.values()))
    is_same = None if found is None else found >= 0.999 * wanted
    text = "unknown" if found is None else f"{found:,}"
    effect = "fewer images: more overfitting"
    return _cause("all training images, 1.2 million", is_same, text, effect)


def _classes(recipe: Recipe, _facts: Facts) -> Cause:
    limits = recipe.limits
    is_all = not limits.classes and limits.batches is None and limits.steps is None
    found = "all" if is_all else "a part, see limits in the recipe"
    return _cause("all classes, all batches", is_all, found, "another problem than the paper's")


def _squash(_recipe: Recipe, facts: Facts) -> Cause:
    is_same = None if facts.geometry is None else facts.geometry == "crop"
    effect = "squashed images: other proportions; Caffe's networks lose about 2 points centre"
    name = "shorter side rescaled, central square cut"
    return _cause(name, is_same, facts.geometry or "unknown", effect)


def _epochs(recipe: Recipe, facts: Facts) -> Cause:
    found = f"{facts.num_epochs} finished of {recipe.schedule.epochs}"
    effect = "the last falls of the rate are missing, or come early"
    return _cause("about 90 epochs", facts.num_epochs >= 80, found, effect)


def _network(recipe: Recipe, _facts: Facts) -> Cause:
    return _cause("the network of 2012", False, recipe.model.name, "another network")


def _width(recipe: Recipe, _facts: Facts) -> Cause:
    model = _model(recipe)
    is_same = model.width == 1 and not model.without and not model.doubled and model.side == 224
    without = f", without {', '.join(model.without)}" if model.without else ""
    found = f"width {model.width:g}, patches of {model.side}{without}"
    effect = "a middle layer less costs about 2 points top-1; half the maps 1.7"
    return _cause("all layers at full width, patches of 224", is_same, found, effect)


def _towers(recipe: Recipe, _facts: Facts) -> Cause:
    model = _model(recipe)
    is_same = model.num_towers == 2 and model.norm_scope == "tower"
    found = f"{model.num_towers}, normalised over {model.norm_scope}"
    effect = "one tower of half the maps: 1.7 points top-1 (section 3.2)"
    return _cause("two towers", is_same, found, effect)


def _normalisation(recipe: Recipe, _facts: Facts) -> Cause:
    constants = next(value for name, value in recipe.points().items() if name.startswith("D4"))
    effect = "undivided alpha normalises five times harder; k = 1 leaves larger signals"
    name = "normalisation with k = 2 and alpha / 5"
    return _cause(name, _model(recipe).norm == "code", constants, effect)


def _conv1_order(recipe: Recipe, _facts: Facts) -> Cause:
    order = _model(recipe).conv1_order
    effect = "the paper's text has another order than the network whose errors it gives"
    return _cause("conv1: normalised, pooled, then ReLU", order == "lrn-pool-relu", order, effect)


def _initial(recipe: Recipe, _facts: Facts) -> Cause:
    model = _model(recipe)
    is_same = model.initialisation == "code" and model.std_factor == 1
    found = f"{model.initialisation}, deviations times {model.std_factor:g}"
    effect = "0.01 in conv3 to conv5: signals twelve times smaller, a long plateau or no learning"
    return _cause("initial deviations 0.03 in conv3 to conv5", is_same, found, effect)


def _dropout(recipe: Recipe, _facts: Facts) -> Cause:
    dropout = _model(recipe).dropout
    effect = "inverted dropout with these rates: fc7 and fc8 learn four times faster"
    return _cause("dropout of 0 or 1, halved in evaluation", dropout == "mask", dropout, effect)


def _crops(recipe: Recipe, _facts: Facts) -> Cause:
    prepared, side = recipe.prepared_side, recipe.model.side
    found = f"{side} of {prepared or 'any'}"
    is_same = None if prepared is None else (prepared, side) == (256, 224)
    effect = "fewer places to cut at: more overfitting (section 4.1)"
    return _cause("random patches of 224 from 256", is_same, found, effect)


def _reflections(recipe: Recipe, _facts: Facts) -> Cause:
    found = "yes" if recipe.feed.reflect else "none"
    return _cause("reflections", recipe.feed.reflect, found, "more overfitting (section 4.1)")


def _noise(recipe: Recipe, _facts: Facts) -> Cause:
    scale = recipe.noise.scale
    effect = "without it over 1 point top-1 (section 4.1)"
    return _cause("colour noise of 0.1", scale == 0.1, f"{scale:g}", effect)


def _noise_end(recipe: Recipe, _facts: Facts) -> Cause:
    last = recipe.schedule.epochs - 1
    is_off = not recipe.noise.scale or not rates_at(recipe.schedule, last, _falling(last)).noise
    found = "off" if is_off else "on to the end"
    effect = "noisy patches are divided by 1.1: training and test differ in scale"
    return _cause("colour noise off in the last part", is_off, found, effect)


def _rates(recipe: Recipe, _facts: Facts) -> Cause:
    epochs = recipe.schedule.epochs
    weights = [rates_at(recipe.schedule, at, _falling(at)).weights for at in range(epochs)]
    num = sum(after < before for before, after in pairwise(weights))
    found = f"lowered {num} x, from {weights[0]:g} to {weights[-1]:g}"
    effect = "each fall of the rate brings several points"
    return _cause("rate lowered three times or more", num >= 3, found, effect)


def _biases(recipe: Recipe, _facts: Facts) -> Cause:
    first = rates_at(recipe.schedule, 0, _falling(0))
    found = f"{first.biases / first.weights:g} times that of weights" if first.weights else "none"
    is_same = first.biases == 2 * first.weights
    return _cause("biases at twice the rate", is_same, found, "a slower start")


def _decay(recipe: Recipe, _facts: Facts) -> Cause:
    rule = recipe.optimiser
    decay = getattr(rule, "weight_decay", None)
    is_same = rule.name == "momentum-2012" and decay == 0.0005 and not rule.decay_biases
    effect = "without it the training error, too, is higher (section 5)"
    return _cause("momentum rule of 2012, decay 0.0005", is_same, f"{rule.name}, {decay}", effect)


def _batch(recipe: Recipe, _facts: Facts) -> Cause:
    size = recipe.feed.batch_size
    effect = "256 at twice the rate was as good; larger batches were not"
    return _cause("batches of 128", size == 128, str(size), effect)


def _model(recipe: Recipe) -> AlexNetModel:
    assert isinstance(recipe.model, AlexNetModel), "only its checks ask"  # noqa: S101
    return recipe.model


def _falling(epoch: int) -> range:
    # Errors that always fall, as a plateau's epochs are not known beforehand.
    return range(epoch + 1, 0, -1)
