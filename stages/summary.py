"""`alexrep summary`: the layers of a recipe's network, and where it departs from 2012."""

from typing import Annotated

import typer

from .cli import choices, options


def command(
    recipe: choices.RecipeArgument,
    classes: Annotated[int, typer.Option(min=1, help="Classes, as many logits.")] = 1000,
    setting: options.Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the layers of a recipe's network, and where the recipe departs from net 145.

    Output, parameters, multiply-adds and the memory of the output in float32, for one
    image and all towers together. Net 145 is the network behind the paper's errors.

    \b
    Example: alexrep summary alexnet-2012
    """
    from alexrep import files
    from alexrep.config import departures, recipes
    from alexrep.models import count, layer_table, registry
    from alexrep.models.without_values import WithoutValues
    from alexrep.pixels.rescale import FILTER, GEOMETRIES, QUALITY

    chosen = recipes.load(recipe, tuple(setting or ()))
    with WithoutValues():
        network = registry.build(chosen.model, classes, chosen.seed)
    rows = count.layers(network, chosen.model.side)
    fixed = sum(row.cost.fixed for row in rows)
    points = departures.of(chosen)
    head = {"recipe": chosen.name, "model": chosen.model.title, "classes": classes}
    head |= {"source": chosen.source, "expected": chosen.expected, "time": chosen.time}
    head |= {"prepared side": chosen.prepared_side}
    rest = [*departures.of_data(GEOMETRIES[0], QUALITY, FILTER), *departures.OF_THE_PROGRAM]
    if as_json:
        document = layer_table.document(rows) | {"departures": points, "other_departures": rest}
        typer.echo(files.to_json(head | document), nl=False)
        return
    for key in ("source", "expected", "time"):
        if head[key]:
            typer.echo(f"{key}: {head[key]}")
    if chosen.prepared_side is not None:
        side = chosen.prepared_side
        typer.echo(f"images: {side} x {side} pixels (alexrep preprocess --side {side})")
    typer.echo(f"classes: {classes:,} (--classes for as many as the data has)")
    typer.echo(layer_table.text(rows))
    if fixed:
        typer.echo(f"fixed: {fixed:,} running means and variances beside the trained parameters")
    typer.echo(f"departures from net 145: {len(points) or 'none'}")
    for point in points:
        typer.echo(f"  {point}")
    typer.echo("departures of alexrep's images and trainings, whatever the recipe:")
    for point in rest:
        typer.echo(f"  {point}")
