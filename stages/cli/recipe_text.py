"""How recipes and their fields are printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from alexrep.config.tables import shown

from .printing import say_columns

if TYPE_CHECKING:  # pydantic would take a fifth of the time of --help
    from pydantic import JsonValue

    from alexrep.config.explain import Explanation
    from alexrep.config.recipe import Recipe

HEAD = ("name", "source", "expected", "time", "command")
"""Fields that say what a recipe is."""


def head(recipe: Recipe) -> dict[str, object]:
    """Return what a recipe is, for lists."""
    said: dict[str, object] = {key: getattr(recipe, key) for key in HEAD}
    return said | {"prepared_side": recipe.prepared_side, "epochs": recipe.schedule.epochs}


def say_list(recipes: Iterable[Recipe]) -> None:
    """Print a line for each recipe below a line of headings."""
    rows = [
        [recipe.name, recipe.prepared_side, recipe.schedule.epochs, recipe.source]
        for recipe in recipes
    ]
    say_columns([["recipe", "side", "epochs", "source"], *rows])


def say_values(fields: Sequence[tuple[Explanation, JsonValue]], with_texts: bool) -> None:
    """Print the fields of a recipe as path = value, and below each what it means if asked for."""
    for field, value in fields:
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            typer.echo(f"{field.path} =")
            for item in value:
                typer.echo(f"    {shown(item)}")
        else:
            typer.echo(f"{field.path} = {shown(value)}")
        if with_texts:
            _say_text(field)


def say_fields(fields: Sequence[Explanation]) -> None:
    """Print every field that a recipe may have: what it may be, its default, what it means."""
    for field in fields:
        default = "required" if field.is_required else f"default {shown(field.default)}"
        of = f" (of {', '.join(field.of)})" if field.of else ""
        typer.echo(f"{field.path}: {default}{of}")
        _say_text(field)


def _say_text(field: Explanation) -> None:
    allowed = f"{field.allowed[0].upper()}{field.allowed[1:]}. "
    text = f"{allowed}{field.text}"
    typer.echo(textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="    "))
