"""The base of every group of settings, and the label of a field."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


@dataclass(frozen=True, eq=False)
class Label:
    """Name of a field where recipes are compared: `Annotated[..., Label("batch size")]`."""

    text: str
    words: Mapping[object, str] = field(default_factory=dict)
    """Text for values that do not explain themselves."""

    def show(self, value: object) -> str:
        """Return `value` as text."""
        if isinstance(value, bool | str | None) or value == ():
            return self.words.get(value, "none" if value in (None, ()) else str(value))
        if isinstance(value, dict):
            listed = ", ".join(f"{key} {number:g}" for key, number in value.items())
            return listed or self.words.get((), "none")
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return f"{value:g}" if isinstance(value, float) else str(value)


class Strict(BaseModel):
    """A group of settings: unknown keys, wrong types and changes are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def points(self) -> dict[str, str]:
        """Return the values of the labelled fields, those of inner groups too, by label."""
        points: dict[str, str] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            points |= {
                label.text: label.show(value) for label in info.metadata if isinstance(label, Label)
            }
            if isinstance(value, Strict):
                points |= value.points()
        return points


def contradiction(location: tuple[str, ...], wanted: str, found: object) -> ValidationError:
    """Return the error of a field that does not fit another one.

    Args:
        location: Where the field is, below the group whose validator raises the error.
        wanted: What it may be.
        found: What it is.
    """
    fault = PydanticCustomError("contradiction", "{wanted}", {"wanted": wanted})
    details = InitErrorDetails(type=fault, loc=location, input=found)
    return ValidationError.from_exception_data("contradiction", [details])
