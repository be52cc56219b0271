"""`alexrep score`: the errors of a submission to ILSVRC."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .cli import options, printing


def command(
    submission: Annotated[
        Path, typer.Argument(metavar="FILE", help="Five ids a line, as alexrep eval writes them.")
    ],
    truth: Annotated[Path, typer.Option(help="Ground truth: an id a line.")],
    devkit: Annotated[
        Path | None,
        typer.Option(help="Devkit of ILSVRC-2010, tar or folder, for the hierarchical error."),
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes, the largest id.")] = 1000,
    as_json: options.Json = False,
) -> None:
    """Score a submission against a ground truth, with one to five guesses an image.

    The flat error is the fraction of images without a right guess. The hierarchical error of
    2010 is the mean height of the lowest common ancestor of the class and the nearest guess.

    \b
    Example: alexrep score test.txt --truth ILSVRC2010_test_ground_truth.txt
    """
    from alexrep.errors import DataError, mismatch
    from alexrep.evaluation import submission as submissions
    from alexrep.ilsvrc.devkit import read_cost_matrix

    guesses = submissions.read(submission, classes)
    if not len(guesses):
        raise DataError(mismatch(submission, "a line for each image", "none", "name another"))
    labels = submissions.read_truth(truth, len(guesses), classes)
    errors = {"flat": submissions.flat_errors(guesses, labels)}
    if devkit:
        cost = read_cost_matrix(devkit)
        if len(cost) != classes:
            found, advice = f"{len(cost)} of them", "name the number with --classes"
            raise DataError(mismatch(devkit, f"the cost of {classes} classes", found, advice))
        errors["hierarchical"] = submissions.hierarchical_errors(guesses, labels, cost)
    if as_json:
        numbers = {f"{name}_error": values.tolist() for name, values in errors.items()}
        typer.echo(json.dumps({"num_images": len(guesses), **numbers}, indent=1))
        return
    rows = [[name, *(f"{value:.4f}" for value in values)] for name, values in errors.items()]
    typer.echo(
        f"{submission}: {len(guesses):,} images; errors with 1 to 5 guesses (flat: a fraction)"
    )
    printing.say_columns([["", "1", "2", "3", "4", "5"], *rows])
