"""Fields set on the command line: `--set path=value`, and options that stand for fields."""

import json
import tomllib
from collections.abc import Mapping, Sequence

from alexrep.config import tables
from alexrep.config.recipe import Recipe
from alexrep.config.tables import Table
from alexrep.errors import ConfigError, mismatch

SHORT = {
    "epochs": "schedule.epochs",
    "batch_size": "feed.batch_size",
    "seed": "seed",
    "weights": "start.weights",
    "momentum": "optimiser.momentum",
    "weight_decay": "optimiser.weight_decay",
    "print_freq": "log.every_steps",
}
"""Options of `alexrep train` that are other names for fields."""


def joined(short: Mapping[str, object], settings: Sequence[str]) -> tuple[str, ...]:
    """Join what options that are other names for fields say, and settings, as path=value.

    Args:
        short: Values by the names of `SHORT`; None where the option is not given.
        settings: Settings of the form path=value.

    Raises:
        ConfigError: If a field is set by both.
    """
    given = {name: value for name, value in short.items() if value is not None}
    options = {SHORT[name]: f"--{name.replace('_', '-')} {given[name]}" for name in given}
    require_free(settings, options)
    # As TOML, in which a string of ASCII has the form that it has in JSON.
    return (*(f"{SHORT[name]}={json.dumps(value)}" for name, value in given.items()), *settings)


def require_free(settings: Sequence[str], taken: Mapping[str, str]) -> None:
    """Refuse a setting of a field, or of a group with a field, that something else sets.

    Args:
        settings: Settings of the form path=value.
        taken: What sets a field, by the field's path.

    Raises:
        ConfigError: If there is one.
    """
    for setting in settings:
        path = setting.partition("=")[0].strip()
        for field, option in taken.items():
            if f"{field}.".startswith(f"{path}."):
                wanted = "a field that nothing else sets"
                raise ConfigError(mismatch(f"--set {setting}", wanted, option, "leave one out"))


def lay(settings: Sequence[str], table: Table) -> None:
    """Lay settings of the form path=value over the table of a recipe; a later one wins.

    Raises:
        ConfigError: If one is not of that form, or its path leads into a value.
    """
    given: list[str] = []
    for setting in settings:
        path, value = _parsed(setting)
        try:
            tables.set_at(table, path, value, Recipe, given)
        except KeyError:
            advice = "set the whole field"
            raise ConfigError(
                mismatch(f"--set {setting}", "a key of the recipe", repr(path), advice)
            ) from None
        given.append(path)


def _parsed(setting: str) -> tuple[str, object]:
    """Return path and value; the value is TOML, or text if it is not."""
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        advice = "as in feed.batch_size=64"
        raise ConfigError(mismatch(f"--set {setting}", "path=value", repr(setting), advice))
    try:
        return path.strip(), tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return path.strip(), text
