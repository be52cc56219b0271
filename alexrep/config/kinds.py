"""Settings with a choice of classes, such as networks and curves; more can be registered."""

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any, Generic, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from alexrep.config.strict import Strict

S = TypeVar("S", bound=Strict)


class Kinds(Generic[S]):
    """The settings classes that a table may stand for, told apart by a field such as `name`.

    Used in an annotation: for `model: Annotated[Model, KINDS]` a table becomes an object of the
    class that its `name` asks for.
    """

    def __init__(self, field: str, default: str | None = None) -> None:
        """Tell classes apart by `field`; a table without it has the value `default`."""
        self.field = field
        self.default = default
        self.classes: dict[str, type[S]] = {}

    def names_of(self, settings: type[S]) -> tuple[str, ...]:
        """Return the values of the field that stand for `settings`: those of its Literal."""
        return get_args(settings.model_fields[self.field].annotation)

    def register(self, settings: type[S]) -> type[S]:
        """Add a class; also a decorator.

        Raises:
            ValueError: If its field is no Literal of names, or one of the names is taken.
        """
        names = self.names_of(settings)
        taken = sorted(self.classes.keys() & set(names))
        if taken or not names:
            found = f"{taken[0]!r}, which is taken" if taken else "none"
            raise ValueError(f"{settings.__name__}.{self.field}: expected new names, found {found}")
        self.classes |= dict.fromkeys(names, settings)
        return settings

    def name_in(self, table: Mapping[str, object]) -> object:
        """Return the value of the field in `table`."""
        return table.get(self.field, self.default)

    def class_for(self, table: object) -> type[S] | None:
        """Return the class that `table` stands for; None if it is no table, or none is known."""
        name = self.name_in(table) if isinstance(table, Mapping) else None
        return self.classes.get(name) if isinstance(name, str) else None

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401 (a type form)
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        """Choose the class before validation; serialise all of its fields."""
        schema = core_schema.with_info_before_validator_function(self._validate, handler(source))
        schema["serialization"] = core_schema.simple_ser_schema("any")
        return schema

    def _validate(self, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, dict):
            return value
        settings = self.class_for(value)
        if settings is None:
            raise self._unknown(value)
        # Only as JSON may a list stand for a tuple.
        as_json = info.mode == "json"
        return (
            settings.model_validate_json(json.dumps(value))
            if as_json
            else settings.model_validate(value)
        )

    def _unknown(self, table: Mapping[str, object]) -> ValidationError:
        known = ", ".join(sorted(self.classes))
        fault = PydanticCustomError("unknown_kind", "one of {known}", {"known": known})
        details = InitErrorDetails(type=fault, loc=(self.field,), input=self.name_in(table))
        return ValidationError.from_exception_data("Kinds", [details])


def kinds_of(field: FieldInfo) -> Kinds[Any] | None:
    """Return the choice of classes of a field, or of the tables in its list; None if none."""
    of_items = [getattr(form, "__metadata__", ()) for form in get_args(field.annotation)]
    entries = (*field.metadata, *(entry for metadata in of_items for entry in metadata))
    return next((entry for entry in entries if isinstance(entry, Kinds)), None)


def class_in(field: FieldInfo, value: object) -> type[Strict] | None:
    """Return the settings class of a field's table, or of each of its tables; None if unknown."""
    kinds = kinds_of(field)
    if kinds is not None:
        settings: type[Strict] | None = kinds.class_for(value)
        return settings
    forms = (field.annotation, *get_args(field.annotation))
    return next(
        (form for form in forms if isinstance(form, type) and issubclass(form, Strict)), None
    )


def is_optional(field: FieldInfo) -> bool:
    """Tell whether a field may be None."""
    return NoneType in get_args(field.annotation)
