"""TOML tables of settings: laid over one another, with fields unset, flat."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from alexrep.config.kinds import Kinds, class_in, is_optional, kinds_of
from alexrep.config.strict import Strict

Table = dict[str, Any]
UNSET = "none"
"""What a field that may be without a value is set to for having none."""
ABSENT: tuple[object, ...] = (None, [], ())
"""What a field of an inner table has that says nothing."""


def flat(table: Mapping[str, Any], prefix: str = "") -> Table:
    """Return the values of nested tables under dotted keys."""
    values: Table = {}
    for key, value in table.items():
        is_table = isinstance(value, dict)
        values |= flat(value, f"{prefix}{key}.") if is_table else {prefix + key: value}
    return values


def shown(value: object) -> str:
    """Return a value as it is written in TOML; of a table the fields that have a value."""
    if value is None:
        return UNSET
    if isinstance(value, Mapping):
        given = [f"{key} = {shown(item)}" for key, item in value.items() if item not in ABSENT]
        return f"{{ {', '.join(given)} }}" if given else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return json.dumps(value, ensure_ascii=False)


def merge(base: Table, over: Table, settings: type[Strict] | None) -> Table:
    """Lay `over` over `base`; both are tables of the class `settings`, if it is known.

    A table that names another class than the base's, as in another `name` of `model` or `kind`
    of curve, takes its place as a whole: the fields of one class say nothing to the other.
    """
    merged = dict(base)
    for key, value in over.items():
        below = base.get(key)
        merged[key] = value
        if isinstance(value, dict) and isinstance(below, dict):
            kinds, inner = _inside(settings, key, below)
            if not _is_other(kinds, below, value):
                merged[key] = merge(below, value, inner)
    return merged


def set_at(
    table: Table, path: str, value: object, settings: type[Strict], given: Sequence[str]
) -> None:
    """Set the field at a dotted path; where that asks for another class, drop the other fields.

    Args:
        table: A table of the class `settings`; changed.
        path: Where, with dots.
        value: What to set it to.
        settings: The class of the whole table.
        given: Paths that have been set so; these fields stay.

    Raises:
        KeyError: If there is a value, and no table, on the way.
    """
    *parents, last = path.split(".")
    kinds: Kinds[Any] | None = None
    inner: type[Strict] | None = settings
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise KeyError(path)
        kinds, inner = _inside(inner, parent, table)
    if _is_other(kinds, table, {last: value}):
        for key in [key for key in table if ".".join((*parents, key)) not in given]:
            del table[key]
    table[last] = value


def without_unset(table: Table, settings: type[Strict] | None) -> Table:
    """Leave out the fields that are to have no value, which is said by "none"."""
    kept: Table = {}
    for key, value in table.items():
        field = _field(settings, key)
        if field is None or value != UNSET or not is_optional(field):
            kept[key] = _inner_without_unset(value, field)
    return kept


def _inner_without_unset(value: object, field: FieldInfo | None) -> object:
    if isinstance(value, list):
        return [_inner_without_unset(item, field) for item in value]
    settings = None if field is None else class_in(field, value)
    return without_unset(value, settings) if isinstance(value, dict) else value


def _field(settings: type[Strict] | None, key: str) -> FieldInfo | None:
    return settings.model_fields.get(key) if settings else None


def _inside(
    settings: type[Strict] | None, key: str, value: object
) -> tuple[Kinds[Any] | None, type[Strict] | None]:
    """Return the choice of classes that a field has, and the class of the table in it."""
    field = _field(settings, key)
    return (None, None) if field is None else (kinds_of(field), class_in(field, value))


def _is_other(kinds: Kinds[Any] | None, below: Table, over: Table) -> bool:
    return kinds is not None and kinds.field in over and kinds.name_in(over) != kinds.name_in(below)
