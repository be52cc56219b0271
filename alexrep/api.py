"""What a notebook imports: load a run, ask it about images, score it, see what it sees.

These functions are meant to stay as they are; the modules below them may change.

Shapes: N images of a batch, S side of the prepared images, P side of the patch.
"""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from alexrep.compute.devices import pick
from alexrep.errors import DataError, mismatch
from alexrep.evaluation import loaded, scoring, similar
from alexrep.evaluation import predict as prediction
from alexrep.evaluation.loaded import LoadedRun
from alexrep.evaluation.named_images import NamedImage
from alexrep.evaluation.predict import BATCH, Prediction
from alexrep.evaluation.task import Task
from alexrep.feed import order, views
from alexrep.feed.batches import Reader
from alexrep.pool import default_threads
from alexrep.runs.results import Result

Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""Path or bytes of a file, a Pillow image, or RGB pixels, uint8 (H, W, 3)."""


def load_run(
    path: str | os.PathLike[str], checkpoint: str = "last", device: str = "auto"
) -> LoadedRun:
    """Load the network of a run, or of a folder made by `alexrep export`.

    Args:
        path: The folder.
        checkpoint: "last", or "best": that with the lowest val top-1 error.
        device: Where to compute: "auto", "cpu", "cuda", "cuda:1" and so on.

    Raises:
        ConfigError: If there is no such device.
        DataError: If the folder is not a run's, or a file is missing or damaged.
    """
    return loaded.load(Path(path), checkpoint, pick(device))


def predict(
    run: LoadedRun, images: Picture | Sequence[Picture], *, ten_crop: bool = False, top: int = 5
) -> list[Prediction]:
    """Find the likeliest classes of images of any size, as `alexrep predict` does.

    Args:
        run: A loaded run.
        images: One image or several.
        ten_crop: Whether to average ten patches instead of the centre one.
        top: How many classes of each image; all if there are no more.

    Returns:
        A prediction of each image, in order.

    Raises:
        DataError: If an image cannot be read.
        AlexrepError: If the network's logits are not finite.
    """
    several = images if isinstance(images, list | tuple) else [images]
    named = (_named(image, number) for number, image in enumerate(several))
    kind, found = "ten-crop" if ten_crop else "centre", []
    for answer, _ in prediction.predict(run, named, views=kind, top=top, threads=default_threads()):
        if answer.fault:
            advice = "leave it out"
            raise DataError(
                mismatch(answer.image, "an image that can be read", answer.fault, advice)
            )
        found.append(answer)
    return found


def _named(image: Picture, number: int) -> NamedImage:
    """Name an image by its path, or by its number."""
    if isinstance(image, str | os.PathLike):
        return NamedImage(os.fspath(image))
    if isinstance(image, bytes):
        return NamedImage(f"image {number}", image)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    # Without loss, so that pixels are prepared by the same code as files.
    picture.save(stream, "PNG", compress_level=1)
    return NamedImage(f"image {number}", stream.getvalue())


def batches(
    run: LoadedRun, data: str | os.PathLike[str], split: str = "val", *, batch_size: int = BATCH
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images of a split as the network sees them, with their labels.

    Args:
        run: A loaded run, whose side, mean image and order of channels are used.
        data: A packed data folder.
        split: "train", "val" or "test".
        batch_size: N; the last batch may be smaller.

    Yields:
        Centre patches, float32 (N, 3, P, P), grey levels about zero, on the run's device; and
        class indices, int64 (N,), on the CPU, -1 where unknown. In the order of the shards.

    Raises:
        ManifestError: If the folder is not packed, or has no such split.
        DataError: If the data has other classes or another side than the run's.
    """
    with (
        similar.opened(run, Path(data), split) as there,
        Reader(there.split, default_threads()) as reader,
    ):
        for batch in reader.read(order.batches(there.indices, batch_size)):
            images = torch.from_numpy(batch.images).to(run.device)
            (patches,) = views.patches(images, "centre", run.inputs)
            yield patches, torch.from_numpy(batch.labels)


def evaluate(
    run: LoadedRun,
    data: str | os.PathLike[str],
    split: str = "val",
    *,
    ten_crop: bool = False,
    batch_size: int = BATCH,
) -> Result:
    """Score a run on a split, as `alexrep eval` does; nothing is written.

    Args:
        run: A loaded run.
        data: A packed data folder.
        split: "train", "val" or "test".
        ten_crop: Whether to average ten patches instead of the centre one.
        batch_size: Images at once.

    Returns:
        The errors, as fractions, and what else `alexrep eval --json` prints.

    Raises:
        ManifestError: If the folder is not packed, or has no such split.
        DataError: If the data has other classes or another side than the run's.
    """
    kind = "ten-crop" if ten_crop else "centre"
    asked = Task(run.folder, Path(data), split, kind, run.checkpoint)
    scored = scoring.score(asked, run.device, default_threads(), batch_size, lambda num: None)
    return scored.result
