"""`alexrep predict`: what a trained network says of any images."""

import sys

from .cli import answer_options, choices, options


def command(
    run: options.Run,
    images: answer_options.Images,
    top: answer_options.Top = 5,
    ten_crop: answer_options.TenCrop = False,
    checkpoint: choices.Checkpoint = "last",
    as_json: options.Json = False,
    as_csv: answer_options.Csv = False,
    plot: answer_options.Plot = None,
    device: options.Device = "auto",
    workers: options.Threads = None,
) -> None:
    """Print the likeliest classes of images, whatever their size, with their probabilities.

    Images are prepared as those were that the run was trained on. In folders, files are
    images by their names; others are passed over. Images that cannot be read are named on
    stderr, and the exit code is 3, or 1 if none can be read.

    \b
    Example: alexrep predict runs/first photo.jpg holiday/ --ten-crop
    """
    from alexrep.evaluation import prediction_text
    from alexrep.evaluation.named_images import Search
    from alexrep.evaluation.predict import predict
    from alexrep.pool import default_threads

    from .cli import answers

    options.require("--checkpoint", checkpoint, ("last", "best"))
    answers.require_one_form(as_json, as_csv)
    answers.require_picture(plot)
    search = Search(images, sys.stdin.buffer)
    network = answers.load(run, checkpoint, device)
    views, threads = "ten-crop" if ten_crop else "centre", workers or default_threads()
    tally, sheet = prediction_text.Tally(options.note), answers.Sheet(plot)
    found = predict(network, search, views=views, top=top, threads=threads)
    passing = tally.readable(sheet.kept(found))
    if as_json:
        head, tail = answers.head(network, views), lambda: answers.tail(tally, search)
        prediction_text.write_json(passing, sys.stdout, head, tail)
    else:
        write = prediction_text.write_csv if as_csv else prediction_text.write_text
        write(passing, sys.stdout)
    sheet.draw(network, views, tally)
    answers.leave(tally, search)
