"""What `alexrep predict` and `alexrep similar` share: what they refuse, draw, and leave with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from alexrep.errors import AlexrepError, ConfigError, mismatch

from . import options
from .progress import counted

if TYPE_CHECKING:  # torch would take longer than --help may
    from alexrep.evaluation.loaded import LoadedRun, Pixels
    from alexrep.evaluation.named_images import Search
    from alexrep.evaluation.predict import Prediction
    from alexrep.evaluation.prediction_text import Tally
    from alexrep.plots.predictions import Card

MOST_DRAWN = 20
"""Most images in one picture."""
LONGEST_NAME = 14
"""Most letters of a file's name below an image."""


def require_one_form(as_json: bool, as_csv: bool) -> None:
    """Refuse two forms at once.

    Raises:
        ConfigError: If both are asked for.
    """
    if as_json and as_csv:
        raise ConfigError(mismatch("--json, --csv", "one of them", "both", "choose one"))


def require_picture(plot: Path | None) -> None:
    """Refuse a picture of another format, before any work is done for it.

    Raises:
        ConfigError: If its name does not end as one of a PNG or SVG file.
    """
    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise ConfigError(mismatch("--plot", "a .png or .svg file", plot, "name one"))


def load(run: Path, checkpoint: str, device: str) -> LoadedRun:
    """Load the network that answers, and say so if it stopped in the middle of an epoch."""
    from alexrep.compute.devices import pick
    from alexrep.evaluation import loaded

    if run.is_file():
        advice = "name RUN first, then the images"
        raise ConfigError(mismatch(run, "a run folder", "a file", advice))
    network = loaded.load(run, checkpoint, pick(device))
    if network.trained.mid_epoch_step is not None:
        options.note(f"{run}: checkpoint {checkpoint} is of {network.trained.moment}")
    return network


def head(network: LoadedRun, views: str) -> dict[str, object]:
    """Return what a JSON document says of the network, before its answers."""
    return {
        "run": str(network.folder.path),
        "checkpoint": network.checkpoint,
        "epoch": network.trained.epoch,
        "mid_epoch_step": network.trained.mid_epoch_step,
        "weights": network.trained.weights,
        "views": views,
    }


def checkpoint_of(network: LoadedRun) -> str:
    """Say what the answers are of, for the subtitle of a picture."""
    return f"checkpoint {network.checkpoint}, {network.trained.moment}"


def tail(tally: Tally, search: Search) -> Mapping[str, object]:
    """Return what a JSON document says of the images that have no answer."""
    unreadable = [{"image": one.image, "fault": one.fault} for one in tally.unreadable]
    return {"unreadable": unreadable, "passed_over": search.num_passed_over}


@dataclass
class Sheet:
    """Keeps the first images that can be read, for the picture."""

    plot: Path | None
    """The picture; none if not asked for."""
    cards: list[tuple[Prediction, Pixels]] = field(default_factory=list)

    def kept(self, found: Iterable[tuple[Prediction, Pixels | None]]) -> Iterator[Prediction]:
        """Yield the predictions, and keep what the picture needs of them."""
        for prediction, pixels in found:
            if self.plot and pixels is not None and len(self.cards) < MOST_DRAWN:
                self.cards.append((prediction, pixels.copy()))
            yield prediction

    def draw(self, network: LoadedRun, views: str, tally: Tally) -> None:
        """Draw the picture if it is asked for and there is something to draw."""
        if self.plot is None or not self.cards:
            return
        from alexrep.plots import style
        from alexrep.plots.predictions import draw_sheet
        from alexrep.runs.contents import name_of

        shown = [(_card(prediction), pixels) for prediction, pixels in self.cards]
        title = f"{name_of(network.folder.path)}: likeliest classes"
        count = f"{len(shown)} of {tally.num_read:,} images, {views}; {checkpoint_of(network)}"
        style.save(draw_sheet(shown, title, count), self.plot)
        options.note(f"{self.plot}: drawn")


def _card(prediction: Prediction) -> Card:
    from alexrep.plots import style
    from alexrep.plots.predictions import Bar, Card

    bars = tuple(Bar(one.name, one.probability, is_right=False) for one in prediction.likely)
    name = Path(prediction.image).stem if prediction.image != "-" else "standard input"
    if len(name) > LONGEST_NAME:  # numbered files differ at the end
        name = f"{name[:4]}{style.ELLIPSIS}{name[5 - LONGEST_NAME :]}"
    return Card(None, bars, name)


def leave(tally: Tally, search: Search, option: str = "IMAGE") -> None:
    """Count what was passed over, and leave with the exit code that the images deserve.

    Args:
        tally: The images that were read, and those that could not be.
        search: What was named.
        option: How the images are named on the command line.

    Raises:
        AlexrepError: If no image could be read.
    """
    if search.num_passed_over:
        files = counted(search.num_passed_over, "files")
        options.note(f"{files} passed over: hidden, or no images by name")
    if search.names and not tally.num_read:
        found = f"{len(tally.unreadable)} unreadable" if tally.unreadable else "none"
        raise AlexrepError(mismatch(option, "images that can be read", found, "name others"))
    if tally.unreadable:
        raise typer.Exit(3)
