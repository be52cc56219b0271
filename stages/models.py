"""`alexrep models`: the networks that can be trained, their sizes and published errors."""

from typing import Annotated

import typer

from .cli import model_text, options, printing


def command(
    pattern: Annotated[
        str,
        typer.Argument(metavar="[PATTERN]", help="Names to list, as 'resnet*'; all if none."),
    ] = "*",
    as_json: options.Json = False,
) -> None:
    """List the networks: parameters, multiply-adds, source, and published errors.

    Parameters are those that are trained, with auxiliary heads. Multiply-adds are of one
    image, as alexrep counts them and, in the column after it, as published; errors are in
    percent and those of their publishers, not alexrep's. A network of torchvision's is
    trained with --set model.name=torchvision --set model.arch=NAME.

    \b
    Example: alexrep models 'resnet*'
    """
    from alexrep.errors import ConfigError, mismatch, suggestion
    from alexrep.models import catalogue

    rows = []
    for entry in catalogue.entries(pattern):
        rows.append(model_text.described(entry))
        if not as_json:  # a line at a time, as all of them take half a minute
            if len(rows) == 1:
                typer.echo(model_text.HEADER)
            typer.echo(model_text.line(rows[-1]))
    if not rows:
        bare, known = pattern.strip("*"), catalogue.names()
        advice = suggestion(bare, known) or "see alexrep models for all of them"
        if bare and any(name.startswith(bare) for name in known):
            advice = f"alexrep models '{bare}*' lists all whose names begin so"
        raise ConfigError(mismatch("PATTERN", "the name of a network", repr(pattern), advice))
    if as_json:
        printing.say_json(rows)
