"""Recipes: what a run is, read from TOML and written back.

A recipe is a TOML file that may name a `base` and then holds only its
differences. Names are looked up among the recipes that ship with alexrep; a
name that ends in .toml is a file.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from alexrep.config.recipe import Recipe
from alexrep.config.schedules import Change
from alexrep.errors import ConfigError, examples, mismatch

SHORT = {
    "epochs": "schedule.epochs",
    "batch_size": "feed.batch_size",
    "seed": "seed",
}
"""Options of `alexrep train` that are other names for fields."""


def together(short: Mapping[str, object], settings: Sequence[str]) -> tuple[str, ...]:
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
    return (*(f"{SHORT[name]}={value}" for name, value in given.items()), *settings)


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


def names() -> list[str]:
    """Return the names of the recipes that ship with alexrep."""
    folder = resources.files("alexrep") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load(name: str, settings: tuple[str, ...] = ()) -> Recipe:
    """Read the recipe `name`, with `settings` of the form path=value laid over it.

    Raises:
        ConfigError: If there is no such recipe, or a key, type or range is wrong.
    """
    table = _resolve(name, ())
    for setting in settings:
        _set(table, setting)
    return parse(table, name)


def parse(table: dict[str, Any], where: str) -> Recipe:
    """Check a table of fields.

    Raises:
        ConfigError: If a key, type or range is wrong; the key is named.
    """
    try:
        return Recipe.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError(_explain(where, error)) from None


def dump(recipe: Recipe) -> str:
    """Write a recipe as TOML, fully resolved."""
    return tomli_w.dumps(json.loads(recipe.model_dump_json(exclude_none=True)))


def read(path: Path) -> Recipe:
    """Read a resolved recipe file.

    Raises:
        ConfigError: If it is not one.
    """
    text = _content(path, "name a run or a recipe that is there")
    return parse(_table(text, str(path)), str(path))


def difference(one: Recipe, other: Recipe) -> list[str]:
    """Name the fields in which two recipes differ, as `path: one's value -> other's`."""
    mine, theirs = _flat(one.model_dump()), _flat(other.model_dump())
    return [
        f"{key}: {mine.get(key)!r} -> {theirs.get(key)!r}"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]


def _resolve(name: str, above: tuple[str, ...]) -> dict[str, Any]:
    """Read the table of recipe `name`, laid over its base."""
    if name in above:
        chain = " -> ".join((*above, name))
        raise ConfigError(mismatch(name, "a base that ends", chain, "remove the circle"))
    table = _table(_text(name), name)
    base = table.pop("base", None)
    if base is None:
        return table
    if isinstance(base, str) and base.endswith(".toml") and name.endswith(".toml"):
        base = str((Path(name).parent / base).resolve())
    return _merge(_resolve(str(base), (*above, name)), table)


def _text(name: str) -> str:
    if name.endswith(".toml"):
        return _content(Path(name), "name a TOML file or one of: " + ", ".join(names()))
    if name not in names():
        known = ", ".join(names())
        raise ConfigError(
            mismatch(
                f"recipe {name!r}", f"one of {known}", "no such recipe", "or name a .toml file"
            )
        )
    return (resources.files("alexrep") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _content(path: Path, advice: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(mismatch(path, "a recipe file", error.strerror, advice)) from None
    except UnicodeDecodeError:
        raise ConfigError(mismatch(path, "UTF-8", "other bytes", advice)) from None


def _table(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(mismatch(where, "TOML", error, "mend the file")) from None


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _set(table: dict[str, Any], setting: str) -> None:
    """Lay one path=value over `table`; the value is TOML, or text if it is not."""
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise ConfigError(
            mismatch(f"--set {setting}", "path=value", repr(setting), "as in feed.batch_size=64")
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        value = text
    *parents, last = path.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(
                mismatch(f"--set {setting}", "a key of the recipe", f"{path!r}", "see its fields")
            )
    table[last] = value


def _explain(where: str, error: ValidationError) -> str:
    """Turn the first fault into one line that names the key and what it should be."""
    faults = error.errors()
    fault = faults[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the recipe"
    found = fault.get("input")
    if fault["type"] == "extra_forbidden":
        known = examples(sorted(_siblings(fault["loc"])), most=16)
        return mismatch(f"{where}: {key}", "a known key", f"{found!r}", f"known here: {known}")
    if fault["type"] == "missing":
        return mismatch(f"{where}: {key}", "a value", "none", "add the key")
    said = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return mismatch(f"{where}: {key}", said, f"{found!r}", "mend the value")


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """Return the known keys beside an unknown one."""
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            kind = model.model_fields[part].annotation
            model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else Change
    return list(model.model_fields)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
