"""For some images, those of a split that a network finds most like them.

Shapes: S side of the prepared images, D numbers of a layer.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexrep import keyed, manifest
from alexrep.errors import ConfigError, ManifestError, mismatch
from alexrep.evaluation.activations import Layer
from alexrep.evaluation.feature_file import FEATURE, FeatureFile
from alexrep.evaluation.loaded import LoadedRun, Pixels
from alexrep.evaluation.match_classes import Matched, matched
from alexrep.evaluation.named_images import NamedImage
from alexrep.evaluation.neighbours import nearest
from alexrep.evaluation.predict import Prediction, prepared_batches
from alexrep.feed.batches import Reader
from alexrep.shards.labelled import LabelledImages
from alexrep.shards.read import open_split

NUM_QUERIES, NUM_NEAREST = 5, 6
"""Images, and neighbours of each, in the paper's figure 4."""
MOST_QUERIES = 1000
"""Most images whose neighbours are sought at once; all of them are in memory."""


@dataclass(frozen=True)
class Query:
    """An image whose neighbours are sought."""

    image: str
    """Its name."""
    pixels: Pixels
    """As the network is shown it, RGB, (S, S, 3)."""
    features: NDArray[np.float16]
    """What the layer makes of it, (D,)."""
    label: str = ""
    """First name of its class; empty if unknown."""


@dataclass(frozen=True)
class Near:
    """An image of the split that was searched."""

    image: str
    """Its name as distributed."""
    index: int
    """Its index in the order of the shards."""
    wnid: str
    """WordNet id of its class, or the name of the class folder; empty if unknown."""
    name: str
    """First name of its class; empty if unknown."""
    distance: float
    """Euclidean distance of its features from the query's."""


@dataclass(frozen=True)
class Similar:
    """A query's nearest images, nearest first; of equally near ones, the first of the shards."""

    image: str
    """The query's name."""
    label: str
    """First name of its class; empty if unknown."""
    nearest: tuple[Near, ...]
    """Its neighbours."""


@contextlib.contextmanager
def opened(run: LoadedRun, data: Path, split: str) -> Iterator[Matched]:
    """Open a split of a data folder, and take its images of the run's classes.

    Raises:
        ManifestError: If pack has not finished, or there are no shards of the split.
        DataError: If the data has other classes or another side, or some labels are not known
            and others are.
    """
    with contextlib.closing(open_split(data, split)) as whole:
        yield matched(whole, run.trained, run.folder.path, data)


def queries_of_files(
    run: LoadedRun, layer: Layer, images: Iterable[NamedImage], threads: int
) -> tuple[list[Query], list[Prediction]]:
    """Compute the features of any images.

    Args:
        run: The network.
        layer: The layer.
        images: The images.
        threads: Threads that read and prepare images.

    Returns:
        The queries; and of each image that cannot be read, why.

    Raises:
        ConfigError: If there are more than MOST_QUERIES.
    """
    queries: list[Query] = []
    faults: list[Prediction] = []
    for names, prepared in prepared_batches(run, images, threads):
        readable = [pixels for pixels in prepared if isinstance(pixels, np.ndarray)]
        rows = iter(layer.of(np.stack(readable)) if readable else ())
        for name, pixels in zip(names, prepared, strict=True):
            if isinstance(pixels, str):
                faults.append(Prediction(name, fault=pixels))
            else:
                queries.append(Query(name, pixels, next(rows)))
        if len(queries) > MOST_QUERIES:
            wanted = f"at most {MOST_QUERIES:,} images"
            raise ConfigError(mismatch("--query", wanted, "more", "name fewer at a time"))
    return queries, faults


def queries_of_split(
    run: LoadedRun, layer: Layer, data: Path, searched: str, num: int = NUM_QUERIES
) -> list[Query]:
    """Compute the features of some images of a split other than the one that is searched.

    Args:
        run: The network.
        layer: The layer.
        data: The data folder.
        searched: Name of the split that is searched.
        num: How many, the same ones each time; all if there are no more.

    Raises:
        ManifestError: If there is no other split.
    """
    counts = manifest.read(data / "shards" / manifest.NAME, "pack").counts
    others = [name for name in ("val", "test", "train") if counts.get(f"{name} images")]
    name = next((other for other in others if other != searched), None)
    if name is None:
        advice = "name images with --query"
        raise ManifestError(mismatch(data, f"a split beside {searched}", "none", advice))
    with opened(run, data, name) as there, Reader(there.split, 1) as reader:
        chosen = np.sort(there.indices[keyed.permutation(len(there.indices), 0)[:num]])
        (batch,) = reader.read([chosen])
        names = [text.decode(errors="surrogateescape") for text in there.split.names[chosen]]
        labels = [run.class_names[label] if label >= 0 else "" for label in batch.labels]
        return list(map(Query, names, batch.images, layer.of(batch.images), labels))


def similar(
    run: LoadedRun, features: FeatureFile, queries: Sequence[Query], num: int = NUM_NEAREST
) -> list[Similar]:
    """Find the nearest images of each query; see `neighbours.nearest`.

    Args:
        run: The network whose features they are.
        features: Those of the images to search.
        queries: One or more.
        num: How many images for each query.
    """
    found = nearest(features, np.stack([query.features for query in queries]).astype(FEATURE), num)
    pairs = zip(found.rows, found.distances, strict=True)
    return [
        Similar(query.image, query.label, _named(run, features, *pair))
        for query, pair in zip(queries, pairs, strict=True)
    ]


def pixels_of(split: LabelledImages, found: Sequence[Similar]) -> list[Pixels]:
    """Decode the neighbours of each query, RGB, (K, S, S, 3).

    Args:
        split: The split that was searched.
        found: The queries' neighbours.
    """
    indices = [np.array([near.index for near in one.nearest]) for one in found]
    with Reader(split, 1) as reader:
        return [batch.images.copy() for batch in reader.read(indices)]


def _named(
    run: LoadedRun,
    features: FeatureFile,
    rows: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> tuple[Near, ...]:
    # The last entry is for images whose class is unknown, -1.
    wnids = [*(synset.wnid for synset in run.classes.synsets), ""]
    names = [*run.class_names, ""]
    return tuple(
        Near(
            features.names[row].decode(errors="surrogateescape"),
            int(features.index[row]),
            wnids[features.labels[row]],
            names[features.labels[row]],
            float(distance),
        )
        for row, distance in zip(rows.tolist(), distances.tolist(), strict=True)
    )
