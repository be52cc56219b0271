"""`alexrep similar`: the training images that a network finds most like others."""

import sys

import typer

from .cli import answer_options, choices, options


def command(
    ctx: typer.Context,
    run: options.Run,
    data: answer_options.Data,
    query: answer_options.Query = None,
    num: answer_options.Num = 6,
    split: choices.Split = "train",
    layer: answer_options.Layer = None,
    checkpoint: choices.Checkpoint = "last",
    kept: answer_options.Features = None,
    as_json: options.Json = False,
    plot: answer_options.Plot = None,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Print the images of a split that a network finds most like others, with distances.

    The layer's activations (fc7 of the 2012 network) are computed once for the whole split
    and kept; killed, it goes on. Without --query, five images of another split are taken.

    \b
    Example: alexrep similar runs/first --data data --query photo.jpg
    """
    from alexrep.evaluation.activations import Layer
    from alexrep.evaluation.named_images import Search
    from alexrep.evaluation.prediction_text import Tally
    from alexrep.pool import default_threads

    from .cli import answers, neighbours

    options.require("--split", split, ("train", "val", "test"))
    options.require("--checkpoint", checkpoint, ("last", "best"))
    answers.require_picture(plot)
    search, tally = Search(query or [], sys.stdin.buffer), Tally(options.note)
    network, threads = answers.load(run, checkpoint, device), workers or default_threads()
    asked = neighbours.Asked(network, Layer(network, layer), data, split, threads)
    if queries := asked.queries(search, tally):
        found = asked.find(ctx, queries, num, kept or run / "features")
        asked.say(found, as_json, tally, search)
        if plot:
            asked.draw(plot, queries, found)
    answers.leave(tally, search, "--query")
