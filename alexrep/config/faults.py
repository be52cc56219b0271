"""Validation errors of a recipe as one line."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from alexrep.config.kinds import class_in
from alexrep.config.recipe import Recipe
from alexrep.config.strict import Strict
from alexrep.config.tables import Table
from alexrep.errors import mismatch, suggestion

TOML = {"model_type": "a table", "dict_type": "a table", "tuple_type": "a list"}
"""What TOML calls the forms of values that pydantic names in JSON's or Python's words."""


def explain(where: str, error: ValidationError, table: Table) -> str:
    """Turn a fault into one line that names the key and what it should be.

    Args:
        where: Name of the recipe, or of its file.
        error: Pydantic's error.
        table: The table that it was raised for.
    """
    faults = error.errors()
    # A misspelt key is the reason for one that is missing.
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    location, found = fault["loc"], fault.get("input")
    key = ".".join(map(str, location)) or "the recipe"
    if fault["type"] == "extra_forbidden":
        table_name = ".".join(map(str, location[:-1])) or "the recipe"
        advice = _known_keys(str(location[-1]), _class_at(location[:-1], table), table)
        return mismatch(f"{where}: {key}", f"a key of {table_name}", repr(location[-1]), advice)
    if fault["type"] == "missing" or (fault["type"] == "unknown_kind" and found is None):
        return mismatch(f"{where}: {key}", "a value", "none", "add the key")
    said = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    said = TOML.get(fault["type"], said)
    if fault["type"] == "unknown_kind":
        near = suggestion(str(found), fault["ctx"]["known"].split(", "))
        return mismatch(f"{where}: {key}", said, repr(found), near or "choose one")
    return mismatch(f"{where}: {key}", said, repr(found), "mend the value")


def _known_keys(name: str, settings: type[Strict], table: Table) -> str:
    """Say which key was meant, and which there are."""
    known = list(settings.model_fields)
    elsewhere = [path for path in _paths(Recipe, table) if path.rpartition(".")[2] == name]
    near = suggestion(name, known) or suggestion(name, elsewhere, 0)
    keys = ", ".join(known)
    return f"{near} (keys: {keys})" if near else f"keys: {keys}"


def _class_at(location: Sequence[int | str], table: Table) -> type[Strict]:
    """Return the class of the table at `location`."""
    settings: type[Strict] = Recipe
    value: object = table
    for part in location:
        if isinstance(value, Mapping):
            field, value = settings.model_fields[str(part)], value[part]
        elif isinstance(value, list):
            value = value[int(part)]
        settings = class_in(field, value) or Strict
    return settings


def _paths(settings: type[Strict], table: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of all fields, those of the networks and rules in `table`."""
    for name, field in settings.model_fields.items():
        value = table.get(name, {})
        inner = class_in(field, value)
        if inner is not None and isinstance(value, Mapping):
            yield from _paths(inner, value, f"{prefix}{name}.")
        else:
            yield prefix + name
