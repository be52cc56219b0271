"""The learning rates of each epoch, and whether the colour noise is on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alexrep.config.schedules import Change, Schedule


@dataclass(frozen=True)
class Rates:
    """Learning rates of one epoch, and whether the noise is on."""

    weights: float
    """Learning rate of the weights of the layers that have none of their own."""
    biases: float
    """Learning rate of the biases of the layers that have none of their own."""
    noise: bool
    """Whether the colour noise is on."""
    layers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Rates of weights and biases of the layers that have their own, by the recipe's names."""

    def of(self, layer: str, kind: str) -> float:
        """Return the rate of a layer's "weights" or "biases".

        Args:
            layer: Path of the layer in its network; of several names the longest counts.
            kind: "weights" or "biases".

        Raises:
            ValueError: If `kind` is neither.
        """
        if kind not in ("weights", "biases"):
            raise ValueError(f"kind: expected 'weights' or 'biases', found {kind!r}")
        name = max((name for name in self.layers if is_named(name, layer)), key=len, default="")
        weights, biases = self.layers.get(name, (self.weights, self.biases))
        return weights if kind == "weights" else biases

    def table(self, layers: Iterable[str]) -> dict[tuple[str, str], float]:
        """Return the rate of each of `layers` by (layer, kind), as an optimiser takes them."""
        kinds = ("weights", "biases")
        return {(layer, kind): self.of(layer, kind) for layer in layers for kind in kinds}


def is_named(name: str, layer: str) -> bool:
    """Tell whether `name` is a layer's path or its last parts: `conv1` for `towers.0.conv1`."""
    return f".{layer}".endswith(f".{name}")


def rates_at(schedule: Schedule, epoch: int, errors: Sequence[float] = ()) -> Rates:
    """Return the rates after `epoch` finished epochs.

    Changes apply in their order. One that names layers gives them rates of their own, which
    start from what they had; changes without layers leave those alone from then on.

    Args:
        schedule: The schedule of a recipe.
        epoch: Number of finished epochs, from 0.
        errors: Val top-1 error before the first epoch and after each finished one, for
            rates that fall on a plateau.

    Raises:
        ValueError: If `epoch` is negative, or a plateau lacks errors.
    """
    if epoch < 0:
        raise ValueError(f"epoch: expected 0 or more, found {epoch}")
    rates = Rates(0.0, 0.0, noise=True)
    weights, biases = schedule.curves
    if weights is not None and biases is not None:
        first, second = (curve.rate(epoch, schedule.epochs, errors) for curve in (weights, biases))
        rates = Rates(first, second, noise=True)
    for change in schedule.changes:
        if change.epoch <= epoch:
            rates = _apply(change, rates)
    return rates if schedule.warmup is None else _scaled(rates, schedule.warmup.part(epoch))


def _scaled(rates: Rates, part: float) -> Rates:
    """Return a part of all rates."""
    layers = {
        name: (part * weights, part * biases) for name, (weights, biases) in rates.layers.items()
    }
    return replace(rates, weights=part * rates.weights, biases=part * rates.biases, layers=layers)


def _apply(change: Change, rates: Rates) -> Rates:
    noise = rates.noise if change.noise is None else change.noise
    if not change.layers:
        weights = rates.weights if change.weights is None else change.weights
        biases = rates.biases if change.biases is None else change.biases
        return replace(rates, weights=weights, biases=biases, noise=noise)
    own = dict(rates.layers)
    # A layer that had rates of its own under a longer name is meant as well.
    longer = [name for name in own if any(is_named(layer, name) for layer in change.layers)]
    for layer in dict.fromkeys((*longer, *change.layers)):
        weights = rates.of(layer, "weights") if change.weights is None else change.weights
        biases = rates.of(layer, "biases") if change.biases is None else change.biases
        own[layer] = weights, biases
    return replace(rates, noise=noise, layers=own)
