"""The schedule of a recipe held against the network that it is to train."""

from collections.abc import Iterable

from alexrep.config.rates import Rates, rates_at
from alexrep.config.schedules import Schedule
from alexrep.errors import ConfigError, mismatch

__all__ = ["Rates", "rates_at", "require_layers"]


def require_layers(schedule: Schedule, layers: Iterable[str]) -> None:
    """Check that the network has every layer that `schedule` names, before the first epoch.

    Args:
        schedule: The schedule of a recipe.
        layers: The layers of the network.

    Raises:
        ConfigError: If one is unknown.
    """
    known = list(dict.fromkeys(layers))
    for change in schedule.changes:
        for layer in change.layers:
            if layer not in known:
                where = f"schedule.changes: epoch {change.epoch}"
                expected = "layers of " + ", ".join(known)
                raise ConfigError(mismatch(where, expected, repr(layer), "mend the recipe"))
