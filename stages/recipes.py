"""`alexrep recipes`: what recipes there are, and what each of their fields means."""

from dataclasses import asdict
from typing import Annotated

import typer

from .cli import complete, options, printing


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Name of a recipe, or a .toml file; all if none.",
            autocompletion=complete.recipes,
        ),
    ] = None,
    with_fields: Annotated[
        bool, typer.Option("--fields", help="Explain each field: type, range, unit, source.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the recipes, or print the fields of one.

    With --fields and no name: every field that a recipe may have, with its default.

    \b
    Example: alexrep recipes alexnet-2012 --fields
    """
    from alexrep.config import explain, recipes

    from .cli import recipe_text

    if name is not None:
        fields = explain.of_recipe(recipes.load(name))
        if as_json:
            printing.say_json([asdict(field) | {"value": value} for field, value in fields])
        else:
            recipe_text.say_values(fields, with_fields)
    elif with_fields:
        explained = explain.fields()
        if as_json:
            printing.say_json([asdict(field) for field in explained])
        else:
            recipe_text.say_fields(explained)
    else:
        listed = [recipes.load(name) for name in recipes.names()]
        if as_json:
            printing.say_json([recipe_text.head(recipe) for recipe in listed])
        else:
            recipe_text.say_list(listed)
