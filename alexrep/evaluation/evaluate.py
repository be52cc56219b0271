"""A network over a whole split, by centre patch or ten patches.

Shapes: N images of the split, K classes, T = min(5, K).
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexrep.errors import AlexrepError, DataError, mismatch
from alexrep.evaluation.scores import TOP, Scores
from alexrep.feed import order, views
from alexrep.feed.batches import Reader
from alexrep.feed.normalise import Inputs
from alexrep.shards.read import Split


@dataclass(frozen=True)
class Outputs:
    """What the network says of every image, in the order of the shards."""

    top5: NDArray[np.int64]
    """Class indices, likeliest first, (N, T)."""
    probabilities: NDArray[np.float32]
    """Their probabilities, (N, T)."""
    all_probabilities: NDArray[np.float16] | None = None
    """Probabilities of every class, (N, K), if they were asked for."""


def evaluate(
    model: nn.Module,
    split: Split,
    inputs: Inputs,
    which: str,
    *,
    threads: int,
    batch_size: int,
    done: Callable[[int], None] = lambda _: None,
    indices: NDArray[np.int64] | None = None,
    share: Callable[[NDArray[np.int64]], NDArray[np.int64]] = lambda batch: batch,
    with_all: bool = False,
) -> tuple[Scores, Outputs]:
    """Score a network on a split; every image is decoded once.

    Args:
        model: The network; left in the mode it came in.
        split: The images and labels.
        inputs: Constants of augmentation, on the network's device.
        which: "centre" or "ten-crop".
        threads: Decoding threads.
        batch_size: Images at once; beyond time and memory it changes the last digits only.
        done: Called with the number of images of each batch.
        indices: Indices of the images to score; by default all.
        share: Takes from each batch of indices what is scored here, where several processes
            score a part each; the scores and outputs are of that part.
        with_all: Whether to return the probabilities of all classes, too; 2 K bytes an image.

    Raises:
        DataError: If a label is not known, as in a test split whose labels are not public.
        AlexrepError: If the network's logits are not finite.
    """
    indices = np.arange(len(split)) if indices is None else indices
    require_labels(split, indices)
    scores = Scores(split.num_quarantined)
    tops: list[tuple[Tensor, ...]] = []
    shares = [share(batch) for batch in order.batches(indices, batch_size)]
    with _in_evaluation(model), torch.inference_mode(), Reader(split, threads) as reader:
        for batch in reader.read(shares):
            if len(batch.indices):
                images = torch.from_numpy(batch.images).to(inputs.mean.device)
                likely = probabilities(model, images, which, inputs).cpu()
                _require_finite(likely)
                scores.add(likely, torch.from_numpy(batch.labels))
                values, classes = likely.topk(min(TOP, likely.shape[1]))
                tops.append((classes, values, *([likely.half()] if with_all else [])))
            done(len(batch.indices))
    return scores, _joined(tops)


def require_labels(split: Split, indices: NDArray[np.int64]) -> None:
    """Refuse images whose classes are not known.

    Raises:
        DataError: If there are some among them.
    """
    num_unknown = np.count_nonzero(split.labels[indices] < 0)
    if num_unknown:
        unknown = f"{num_unknown} images without"
        raise DataError(mismatch(split.shards[0].path, "labels", unknown, "use the val split"))


def _joined(tops: list[tuple[Tensor, ...]]) -> Outputs:
    """Join the batches' likeliest classes and probabilities; there may be none."""
    if not tops:
        return Outputs(np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32))
    return Outputs(*(torch.cat(parts).numpy() for parts in zip(*tops, strict=True)))


@contextlib.contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and back into its own however the block ends."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _require_finite(likely: Tensor) -> None:
    """Refuse the output of a network that has diverged."""
    if not bool(torch.isfinite(likely).all()):
        advice = "train another run at a lower rate"
        raise AlexrepError(mismatch("the network", "finite logits", "others", advice))


def probabilities(model: nn.Module, images: Tensor, which: str, inputs: Inputs) -> Tensor:
    """Average the softmax over the views of each image.

    Args:
        model: The network, in evaluation mode.
        images: uint8 (N, S, S, 3).
        which: "centre" or "ten-crop".
        inputs: Constants, on the images' device.

    Returns:
        float32 (N, K).

    Source: Krizhevsky et al. 2012, section 4.1; the released source averages
    probabilities, not logits.
    """
    parts = [model(patch).softmax(dim=1) for patch in views.patches(images, which, inputs)]
    return torch.stack(parts).mean(dim=0)
