"""Recipes: what a run is, read from TOML and written back.

A recipe is a TOML file that may name a `base` and then holds only its
differences. Names are looked up among the recipes that ship with alexrep; a
name that ends in .toml is a file.
"""

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import JsonValue, ValidationError

from alexrep import files
from alexrep.config import faults, overrides, tables
from alexrep.config.kinds import kinds_of
from alexrep.config.recipe import OWN, Recipe
from alexrep.config.strict import Strict
from alexrep.config.tables import Table, flat
from alexrep.errors import ConfigError, mismatch, suggestion
from alexrep.system import require_sound_disk

WANTED = "a recipe that ships with alexrep, or a .toml file"
"""What `--recipe` and `base` name."""
LISTED, LIKENESS = "alexrep recipes lists them all", 0.4
"""What lists them, and how like a name must be to one of them to be suggested."""


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
    overrides.lay(settings, table)
    return parse(table, name)


def parse(table: Table, where: str) -> Recipe:
    """Check a table of fields, as a file, a checkpoint or a run of any version holds it.

    Raises:
        ConfigError: If a key, type or range is wrong; the key is named.
    """
    table = tables.without_unset(table, Recipe)
    try:
        return Recipe.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ConfigError(faults.explain(where, error, table)) from None


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


def difference(first: Recipe, second: Recipe) -> list[str]:
    """Name the fields in which two recipes differ, as `path: first's value -> second's`."""
    mine, theirs = flat(first.model_dump()), flat(second.model_dump())
    return [
        f"{key}: {tables.shown(mine.get(key))} -> {tables.shown(theirs.get(key))}"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]


def fields(recipe: Recipe) -> dict[str, JsonValue]:
    """Return the values of all fields by dotted path, as a plan records them."""
    return flat(json.loads(recipe.model_dump_json()))


def defaults(recipe: Recipe) -> dict[str, JsonValue]:
    """Return the values of fields that a plan does not name.

    Older plans lack the fields that came later, and have the default network's fields, at
    their defaults, for every network.
    """
    return flat(json.loads(json.dumps(_defaults(recipe))))


def _defaults(settings: Strict) -> Table:
    table: Table = {}
    for name, field in type(settings).model_fields.items():
        value, kinds = getattr(settings, name), kinds_of(field)
        if isinstance(value, Strict):
            usual = kinds.classes[kinds.default]().model_dump() if kinds and kinds.default else {}
            table[name] = usual | _defaults(value)
        elif not field.is_required():
            table[name] = field.get_default(call_default_factory=True)
    return table


def _resolve(name: str, above: tuple[str, ...]) -> Table:
    """Read the table of recipe `name`, laid over its base.

    Results, time and command of a base are its own and are not inherited.
    """
    if name in above:
        chain = " -> ".join((*above, name))
        raise ConfigError(mismatch(name, "a base that ends", chain, "remove the circle"))
    table = _table(_text(name), name)
    base = table.pop("base", None)
    if base is None:
        return table
    below = _resolve(_base_of(name, base), (*above, name))
    return tables.merge({key: below[key] for key in below if key not in OWN}, table, Recipe)


def _base_of(name: str, base: object) -> str:
    """Return the name of the base that recipe `name` has; a file is beside the one that names it.

    Raises:
        ConfigError: If there is no such recipe.
    """
    path, is_file = Path(name).parent / str(base), str(base).endswith(".toml")
    if base not in names() and not (is_file and path.exists()):
        found = f"no file {path}" if is_file else repr(base)
        raise ConfigError(mismatch(f"{name}: base", WANTED, found, _near(str(base))))
    return str(path.resolve()) if is_file else str(base)


def _near(name: str) -> str:
    """Say which recipe may be meant, and what lists all."""
    near = suggestion(name, names()) or suggestion(name, names(), LIKENESS)
    return " ".join(filter(None, [near, LISTED]))


def _text(name: str) -> str:
    if name.endswith(".toml"):
        return _content(Path(name), f"name a TOML file or a recipe: {LISTED}")
    if name not in names():
        raise ConfigError(mismatch(f"recipe {name!r}", WANTED, "no such recipe", _near(name)))
    return (resources.files("alexrep") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _content(path: Path, advice: str) -> str:
    try:
        return files.read_text(path)
    except OSError as error:
        require_sound_disk(error, path)
        raise ConfigError(mismatch(path, "a recipe file", error.strerror, advice)) from None
    except UnicodeDecodeError:
        raise ConfigError(mismatch(path, "UTF-8", "other bytes", advice)) from None


def _table(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(mismatch(where, "TOML", error, "mend the file")) from None
