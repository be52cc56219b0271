"""Every field of a recipe explained: what it may be, and what its docstring says of it."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from alexrep.config.kinds import class_in, kinds_of
from alexrep.config.recipe import Recipe
from alexrep.config.strict import Strict

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "none",
}
"""What a type of JSON is called."""


@dataclass(frozen=True)
class Explanation:
    """One field of a recipe."""

    path: str
    """Where it is, as in `feed.batch_size`; of each table in a list, as in
    `schedule.changes[].epoch`."""
    allowed: str
    """Its type and range."""
    default: JsonValue
    """What it is where a recipe does not say; None where it has no value then."""
    is_required: bool
    """Whether a recipe must say it."""
    choices: tuple[str, ...]
    """Its values, where there are few."""
    text: str
    """What it is, with its unit and its source."""
    of: tuple[str, ...] = ()
    """The networks, update rules or curves that have it, where not all do."""


def fields() -> list[Explanation]:
    """Explain all fields, those of every network, update rule and curve."""
    merged: dict[tuple[str, str], Explanation] = {}
    for field in _walk(Recipe, "", ()):
        key = (field.path, field.text)
        merged[key] = _joined(merged[key], field) if key in merged else field
    return list(merged.values())


def _joined(first: Explanation, second: Explanation) -> Explanation:
    """Return one explanation for a field that several networks, rules or curves have."""
    allowed = dict.fromkeys((first.allowed, second.allowed))
    return replace(
        first,
        allowed=" or ".join(allowed),
        choices=tuple(dict.fromkeys((*first.choices, *second.choices))),
        of=tuple(dict.fromkeys((*first.of, *second.of))),
    )


def of_recipe(recipe: Recipe) -> list[tuple[Explanation, JsonValue]]:
    """Explain the fields that a recipe has, each with its value there.

    Those of groups that it does not have, and of the tables in a list, are left out.
    """
    table, found = json.loads(recipe.model_dump_json()), []
    for field in fields():
        path, _, name = field.path.rpartition(".")
        group = _group_at(table, path)
        kind = group.get("kind", group.get("name"))
        if name in group and (not field.of or kind in field.of):
            found.append((field, group[name]))
    return found


def _group_at(table: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return the table at a dotted path; an empty one where there is none."""
    for key in path.split(".") if path else ():
        table = table.get(key) or {}
    return table


def _walk(settings: type[Strict], prefix: str, of: tuple[str, ...]) -> Iterator[Explanation]:
    """Yield the fields of a class and of the tables in it."""
    schema = settings.model_json_schema()["properties"]
    texts = _docstrings(settings)
    for name, field in settings.model_fields.items():
        path, kinds = prefix + name, kinds_of(field)
        inner = class_in(field, None)
        is_list = schema[name].get("type") == "array"
        if is_list or (kinds is None and inner is None):
            yield _explained(path, field, schema[name], texts.get(name, ""), of)
        below = f"{path}[]." if is_list else f"{path}."
        if kinds is not None:
            for settings_class in dict.fromkeys(kinds.classes.values()):
                yield from _walk(settings_class, below, kinds.names_of(settings_class))
        elif inner is not None:
            yield from _walk(inner, below, of)


def _explained(
    path: str, field: FieldInfo, schema: Mapping[str, Any], text: str, of: tuple[str, ...]
) -> Explanation:
    default = None if field.is_required() else schema.get("default")
    choices = _choices(schema)
    return Explanation(path, _allowed(schema), default, field.is_required(), choices, text, of)


def _choices(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values that a JSON schema allows, as TOML, where it lists them."""
    if schema.get("type") == "boolean":
        return "true", "false"
    named = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return tuple(map(str, named))


def _listed(items: Sequence[str]) -> str:
    """Return a list of so many items in words."""
    if len(set(items)) == 1:
        return f"list of {len(items)}, each a {items[0]}"
    return f"list of a {', then a '.join(items)}"


def _allowed(schema: Mapping[str, Any]) -> str:
    """Return a JSON schema in words."""
    if "anyOf" in schema:
        return ", or ".join(_allowed(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(map(repr, schema.get("enum", [schema.get("const")])))
    kind = schema.get("type", "table")  # a table of fields of its own stands elsewhere
    if "prefixItems" in schema:
        return _listed(list(map(_allowed, schema["prefixItems"])))
    if kind == "array":
        return f"list of {_allowed(schema['items'])}"
    if kind == "object":
        names = schema.get("propertyNames")
        whose = f", by {_allowed(names)}" if names else ", by name"
        return f"table of {_allowed(schema['additionalProperties'])}{whose}"
    return f"{TYPES.get(kind, kind)}{_range(schema)}"


def _range(schema: Mapping[str, Any]) -> str:
    """Return the limits of a number in words."""
    words = {
        "minimum": "from {:,}",
        "exclusiveMinimum": "above {:,}",
        "maximum": "to {:,}",
        "exclusiveMaximum": "below {:,}",
    }
    limits = [text.format(schema[key]) for key, text in words.items() if key in schema]
    return f", {' '.join(limits)}" if limits else ""


@cache
def _docstrings(settings: type[Strict]) -> dict[str, str]:
    """Return the text below each field of a class and its bases, on one line."""
    texts: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if not issubclass(base, Strict):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for node, below in pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                value = below.value if isinstance(below, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    texts[node.target.id] = " ".join(value.value.split())
    return texts
