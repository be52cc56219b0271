"""What a network says of any images: the likeliest classes with their probabilities.

Shapes: N images of a batch, S side of the prepared images, K classes.
"""

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from alexrep.evaluation.loaded import LoadedRun, Pixels
from alexrep.evaluation.named_images import NamedImage
from alexrep.evaluation.scores import TOP
from alexrep.pixels.decode import UndecodableError

BATCH = 64
"""Images at once: those of a batch are in memory together, prepared."""


@dataclass(frozen=True)
class Likely:
    """A class, and how likely a network finds it."""

    index: int
    """Class index."""
    wnid: str
    """WordNet id, or the name of the class folder."""
    name: str
    """First name of the class."""
    probability: float
    """From 0 to 1."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image, or why nothing."""

    image: str
    """The image's name, as it was given."""
    likely: tuple[Likely, ...] = ()
    """Its likeliest classes, likeliest first; none if it cannot be read."""
    fault: str = ""
    """Why it cannot be read; empty if it can."""


def predict(
    run: LoadedRun,
    images: Iterable[NamedImage],
    *,
    views: str = "centre",
    top: int = TOP,
    threads: int = 1,
) -> Iterator[tuple[Prediction, Pixels | None]]:
    """Classify images, a batch at a time; those that cannot be read are told apart.

    Args:
        run: The network.
        images: The images; read as they are needed.
        views: "centre" or "ten-crop".
        top: How many classes of each image; all if there are no more.
        threads: Threads that read and prepare images.

    Yields:
        The prediction of each image in order, and its pixels as the network was shown them,
        RGB, (S, S, 3); None if it cannot be read.

    Raises:
        AlexrepError: If the network's logits are not finite.
    """
    for names, prepared in prepared_batches(run, images, threads):
        readable = [pixels for pixels in prepared if isinstance(pixels, np.ndarray)]
        rows = iter(run.probabilities(np.stack(readable), views) if readable else ())
        for name, pixels in zip(names, prepared, strict=True):
            if isinstance(pixels, str):
                yield Prediction(name, fault=pixels), None
            else:
                yield Prediction(name, _likeliest(next(rows), run, top)), pixels


def _likeliest(row: NDArray[np.float32], run: LoadedRun, top: int) -> tuple[Likely, ...]:
    """Name the likeliest classes of one image's probabilities, (K,); ties by index."""
    synsets, names = run.classes.synsets, run.class_names
    order = np.argsort(-row, kind="stable")[:top].tolist()
    return tuple(Likely(k, synsets[k].wnid, names[k], float(row[k])) for k in order)


def prepared_batches(
    run: LoadedRun, images: Iterable[NamedImage], threads: int
) -> Iterator[tuple[Sequence[str], Sequence[Pixels | str]]]:
    """Yield the names of BATCH images, and of each its pixels, (S, S, 3), or why it has none."""
    waiting = iter(images)
    with ThreadPoolExecutor(threads, thread_name_prefix="prepare") as pool:
        while batch := list(itertools.islice(waiting, BATCH)):
            # Each decoding sets and restores the filter of warnings, which the threads share:
            # whatever they leave in it ends here.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                prepared = list(pool.map(partial(_prepare, run), batch))
            yield [image.name for image in batch], prepared


def _prepare(run: LoadedRun, image: NamedImage) -> Pixels | str:
    try:
        return run.pixels(image.name, image.read())
    except UndecodableError as error:
        return str(error)
