"""In which points a recipe departs from net 145 of the released 2012 source.

D1 to D5 are the points in which the paper itself departs from that network: the order of
conv1, the second normalisation of conv2, the initial deviations, the constant of the
normalisation, and the rates of biases and of conv1.
"""

from collections.abc import Callable
from types import MappingProxyType

from alexrep.config import recipes
from alexrep.config.model import Model
from alexrep.config.rates import Rates, rates_at
from alexrep.config.recipe import Recipe
from alexrep.config.schedules import Curve, Plateau

REFERENCE = "alexnet-2012"
"""The recipe of net 145 with the hand schedule of its run on ILSVRC-2012."""

INITIAL = MappingProxyType(
    {
        "code": "0.01, in conv3 to conv5 0.03",
        "paper": "0.01",
        "caffe": "0.01, in fc6 and fc7 0.005",
    }
)
NORMS = MappingProxyType(
    {
        "code": "k = 2, alpha = 1e-4 / 5",
        "paper": "k = 2, alpha = 1e-4",
        "caffe": "k = 1, alpha = 1e-4 / 5",
        "none": "none",
    }
)
Point = tuple[str, Callable[[Recipe], object]]
RatePoint = tuple[str, Callable[[Recipe, Rates], str]]


def of(recipe: Recipe) -> list[str]:
    """Name the points in which `recipe` departs from net 145 as released.

    Seed, memory layout, compilation and checkpoints are no points: they change no expectation.

    Returns:
        A line for each, `<point>: <recipe's>; net 145: <its own>`; none for the recipe
        alexnet-2012. Of a network other than the 2012 one, only that.

    Source: FIDELITY sections 0 to 6, where the points are D1 to D5 and those beside them.
    """
    if recipe.model.name != "alexnet":
        return [f"another network: {recipe.model.name}; net 145: alexnet"]
    released = recipes.load(REFERENCE)
    lines = [
        f"{label}: {value(recipe)}; net 145: {value(released)}"
        for label, value in POINTS
        if value(recipe) != value(released)
    ]
    return lines + _first_differences(recipe, released)


def _norms_of_conv2(recipe: Recipe) -> str:
    model = recipe.model
    if model.norm == "none":
        return "none"
    found = ["across maps"] * model.conv2_norm + ["within maps"] * model.conv2_within_map
    return ", then ".join(found) or "none"


def _scope(recipe: Recipe) -> str:
    # With one tower, or without the normalisation, there is no scope to differ in.
    is_joint = recipe.model.norm_scope == "joint" and recipe.model.num_towers > 1
    return "both towers' maps" if is_joint and recipe.model.norm != "none" else "one tower's maps"


def _biases(model: Model) -> str:
    return f"{0.1 if model.initialisation == 'caffe' else 1} in conv2, conv4, conv5, fc6 and fc7"


def _division(recipe: Recipe) -> str:
    return "by 1 + scale" if recipe.noise.divide or not recipe.noise.scale else "none"


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, tuple | list) and names else "none"


def _decays(recipe: Recipe) -> str:
    return _listed([f"{layer} {decay:g}" for layer, decay in recipe.optimiser.layer_decays.items()])


def _own(rates: Rates) -> str:
    return _listed([f"{name} {w:g} and {b:g}" for name, (w, b) in sorted(rates.layers.items())])


def _rate(curve: Curve | None, rate: float) -> str:
    if isinstance(curve, Plateau):
        return f"{curve.start:g}, times {curve.factor:g} on a plateau of the val error"
    return f"{rate:g}"


def _noise(recipe: Recipe, rates: Rates) -> str:
    return "on" if rates.noise and recipe.noise.scale else "off"


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


def _rates(recipe: Recipe, epoch: int) -> Rates:
    # Errors that always fall: a plateau is named by its rule, as its epochs are not known.
    return rates_at(recipe.schedule, epoch, range(epoch + 1, 0, -1))


POINTS: tuple[Point, ...] = (
    ("D1 conv1 order", lambda one: one.model.conv1_order),
    ("D2 normalisations of conv2", _norms_of_conv2),
    ("D3 initial deviations", lambda one: INITIAL[one.model.initialisation]),
    ("D4 normalisation", lambda one: NORMS[one.model.norm]),
    ("normalised over", _scope),
    ("initial biases", lambda one: _biases(one.model)),
    ("factor on the initial deviations", lambda one: f"{one.model.std_factor:g}"),
    ("pools, side/stride", lambda one: one.model.pool),
    ("activation", lambda one: one.model.activation),
    ("towers", lambda one: one.model.num_towers),
    ("width", lambda one: f"{one.model.width:g}"),
    ("side of the patch", lambda one: one.model.side),
    ("layers of double width", lambda one: _listed(one.model.doubled)),
    ("layers left out", lambda one: _listed(one.model.without)),
    ("dropout", lambda one: one.model.dropout),
    ("batch size", lambda one: one.feed.batch_size),
    ("order of the images", lambda one: one.feed.order),
    ("draws per", lambda one: one.feed.draws),
    ("reflections", lambda one: "yes" if one.feed.reflect else "none"),
    ("mean image at", lambda one: one.feed.mean),
    ("channels", lambda one: one.feed.channels),
    ("labels", lambda one: "permuted" if one.feed.shuffle_labels else "true"),
    ("colour noise, scale", lambda one: f"{one.noise.scale:g}"),
    ("division of noisy patches", _division),
    ("momentum", lambda one: f"{one.optimiser.momentum:g}"),
    ("weight decay", lambda one: f"{one.optimiser.weight_decay:g}"),
    ("decays of single layers", _decays),
    ("epochs", lambda one: one.schedule.epochs),
    ("early stop", lambda one: one.schedule.stop.metric if one.schedule.stop else "none"),
    ("batches in the training set", lambda one: one.limits.batches or "all"),
    ("steps in an epoch", lambda one: one.limits.steps or "all"),
    ("classes", lambda one: _listed(one.limits.classes).replace("none", "all")),
    ("precision", lambda one: one.compute.precision),
    ("running average of weights", lambda one: f"{one.compute.ema:g}"),
)
"""What is compared beside the rates, in the order of the settings."""

RATE_POINTS: tuple[RatePoint, ...] = (
    ("rate of weights", lambda one, rates: _rate(one.schedule.weights, rates.weights)),
    ("D5 rate of biases", lambda one, rates: _rate(one.schedule.biases, rates.biases)),
    ("D5 rates of single layers", lambda _one, rates: _own(rates)),
    ("colour noise", _noise),
)
"""What is compared epoch by epoch."""
