"""Predictions as text, CSV or one JSON document, written as they come."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TextIO

from alexrep.evaluation.predict import Prediction

COLUMNS = ("image", "rank", "index", "wnid", "name", "probability")
"""Columns of the CSV: a row for each image and class, the rank from 1."""


@dataclass
class Tally:
    """Counts predictions as they pass, and takes out the images that cannot be read."""

    say: Callable[[str], None]
    """Told of each image that cannot be read."""
    num_read: int = 0
    unreadable: list[Prediction] = field(default_factory=list)

    def readable(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield those of images that can be read."""
        for prediction in predictions:
            if prediction.fault:
                self.unreadable.append(prediction)
                self.say(f"{prediction.image}: not readable: {prediction.fault}")
            else:
                self.num_read += 1
                yield prediction


def write_text(predictions: Iterable[Prediction], out: TextIO) -> None:
    """Write each image's name, and below it a line for each class."""
    for prediction in predictions:
        out.write(f"{prediction.image}\n")
        for likely in prediction.likely:
            share = f"{100 * likely.probability:.2f} %"
            # Classes of class folders are called by their folders alone.
            names = dict.fromkeys((likely.wnid, likely.name))
            out.write(f"{share:>10}  {'  '.join(names)}\n")


def write_csv(predictions: Iterable[Prediction], out: TextIO) -> None:
    """Write a table of COLUMNS."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for prediction in predictions:
        for rank, likely in enumerate(prediction.likely, start=1):
            writer.writerow((prediction.image, rank, *asdict(likely).values()))


def write_json(
    predictions: Iterable[Prediction],
    out: TextIO,
    head: Mapping[str, object],
    tail: Callable[[], Mapping[str, object]],
) -> None:
    """Write one JSON document, an image at a time.

    Args:
        predictions: Those of readable images.
        out: Where to write.
        head: Fields before the images.
        tail: Returns the fields after them, once all have been written.
    """
    out.write(json.dumps(head)[:-1] + ', "images": [')
    for number, prediction in enumerate(predictions):
        row = {"image": prediction.image, "likely": [asdict(one) for one in prediction.likely]}
        out.write(("," if number else "") + f"\n{json.dumps(row)}")
    out.write("\n], " + json.dumps(tail())[1:] + "\n")
