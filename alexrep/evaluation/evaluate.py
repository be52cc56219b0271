"""A network over a whole split, by centre patch, ten patches, or both at once.

Shapes: N images of the split, K classes, T = min(5, K).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexrep.errors import AlexrepError, DataError, mismatch
from alexrep.evaluation.scores import TOP, Scores
from alexrep.feed import order, views
from alexrep.feed.batches import Reader
from alexrep.feed.normalise import Inputs
from alexrep.shards.labelled import LabelledImages

AVERAGES = ("probabilities", "logits")
"""What may be averaged over the views of an image."""


@dataclass(frozen=True)
class Outputs:
    """What the network says of every image, in the order of the split."""

    top5: NDArray[np.int64]
    """Class indices, likeliest first, (N, T)."""
    probabilities: NDArray[np.float32]
    """Their probabilities, (N, T)."""
    label_probabilities: NDArray[np.float32]
    """Probability of each image's label, (N,); NaN where the label is unknown."""
    credit: NDArray[np.float64]
    """Each image's credit for top-1 and top-5, (N, 2); NaN where the label is unknown."""
    indices: NDArray[np.int64]
    """Index of each image in the split, (N,); originals that proved no images are left out."""
    all_probabilities: NDArray[np.float16] | None = None
    """Probabilities of every class, (N, K), if they were asked for."""


@dataclass(frozen=True)
class Averaging:
    """How the views of an image become one answer."""

    average: str = "probabilities"
    """One of AVERAGES."""
    competing: Tensor | None = None
    """Whether each class may be the answer, bool (K,) on the network's device; by default all."""

    def softmax(self, logits: Tensor) -> Tensor:
        """Return the probabilities of logits (N, K); those of classes that do not compete are 0."""
        if self.competing is not None:
            logits = logits.masked_fill(~self.competing, -torch.inf)
        return logits.softmax(dim=1)

    def mean(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the probabilities, (N, K), of the views' logits, each (N, K)."""
        if self.average == "logits":
            return self.softmax(torch.stack(list(logits)).mean(dim=0))
        return torch.stack([self.softmax(view) for view in logits]).mean(dim=0)


def evaluate(
    model: nn.Module,
    split: LabelledImages,
    inputs: Inputs,
    kinds: Sequence[str],
    *,
    threads: int,
    batch_size: int,
    done: Callable[[int], None] = lambda _: None,
    indices: NDArray[np.int64] | None = None,
    share: Callable[[NDArray[np.int64]], NDArray[np.int64]] = lambda batch: batch,
    with_all: bool = False,
    averaging: Averaging = Averaging(),
) -> dict[str, tuple[Scores, Outputs]]:
    """Score a network on a split; every image is decoded once, and each patch is computed once.

    Args:
        model: The network; left in the mode it came in.
        split: The images and labels; images whose label is -1 count in no score.
        inputs: Constants of augmentation, on the network's device.
        kinds: Kinds of views, of views.VIEWS.
        threads: Decoding threads.
        batch_size: Images at once; beyond time and memory it changes the last digits only.
        done: Called with the number of images of each batch.
        indices: Indices of the images to score; by default all.
        share: Takes from each batch of indices what is scored here, where several processes
            score a part each; the scores and outputs are of that part.
        with_all: Whether to return the probabilities of all classes, too; 2 K bytes an image.
        averaging: What is averaged over the views, and which classes compete.

    Returns:
        Scores and outputs of each kind of views.

    Raises:
        AlexrepError: If the network's logits are not finite.
    """
    indices = np.arange(len(split)) if indices is None else indices
    num_classes = len(split.classes)
    tallies = {kind: _Tally(num_classes, with_all, split.num_quarantined) for kind in kinds}
    shares = [share(batch) for batch in order.batches(indices, batch_size)]
    with _in_evaluation(model), torch.inference_mode(), Reader(split, threads) as reader:
        for asked, batch in zip(shares, reader.read(shares), strict=True):
            for tally in tallies.values():
                tally.scores.num_quarantined += len(asked) - len(batch.indices)
            if len(batch.indices):
                images = torch.from_numpy(batch.images).to(inputs.mean.device)
                labels = torch.from_numpy(batch.labels)
                answers = probabilities_of_views(model, images, kinds, inputs, averaging)
                for kind, likely in answers.items():
                    tallies[kind].add(likely.cpu(), labels, torch.from_numpy(batch.indices))
            done(len(asked))
    return {kind: (tally.scores, tally.outputs()) for kind, tally in tallies.items()}


def require_labels(split: LabelledImages, indices: NDArray[np.int64]) -> None:
    """Refuse images whose classes are not known.

    Raises:
        DataError: If there are some among them.
    """
    num_unknown = np.count_nonzero(split.labels[indices] < 0)
    if num_unknown:
        unknown = f"{num_unknown} images without"
        raise DataError(mismatch(split.where, "labels", unknown, "use the val split"))


@dataclass
class _Tally:
    """Scores and outputs of one kind of views, batch by batch."""

    num_classes: int
    with_all: bool
    num_quarantined: int
    parts: list[tuple[Tensor, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scores = Scores(self.num_quarantined)
        # A part without images: the arrays have their axes even where nothing is scored.
        nothing = torch.zeros(0), torch.zeros(0, 2).double(), torch.zeros(0, dtype=torch.int64)
        self._keep(torch.zeros(0, self.num_classes), *nothing)

    def add(self, likely: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Count in a batch: probabilities (N, K), labels (N,), -1 where unknown, indices (N,)."""
        require_finite(likely)
        own = torch.full((len(labels),), torch.nan)
        credit = torch.full((len(labels), 2), torch.nan, dtype=torch.float64)
        is_known = labels >= 0
        if bool(is_known.any()):
            known, its_credits = self.scores.add(likely[is_known], labels[is_known])
            own[is_known], credit[is_known] = known.float(), its_credits
        self._keep(likely, own, credit, indices)

    def _keep(self, likely: Tensor, own: Tensor, credit: Tensor, indices: Tensor) -> None:
        values, classes = likely.topk(min(TOP, self.num_classes))
        everything = [likely.half()] if self.with_all else []
        self.parts.append((classes, values.float(), own, credit, indices, *everything))

    def outputs(self) -> Outputs:
        """Join the batches."""
        return Outputs(*(torch.cat(parts).numpy() for parts in zip(*self.parts, strict=True)))


@contextlib.contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and back into its own however the block ends."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def require_finite(likely: Tensor) -> None:
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
    return probabilities_of_views(model, images, (which,), inputs)[which]


def probabilities_of_views(
    model: nn.Module,
    images: Tensor,
    kinds: Sequence[str],
    inputs: Inputs,
    averaging: Averaging = Averaging(),
) -> dict[str, Tensor]:
    """Return each image's probabilities by several kinds of views; see `probabilities`.

    A patch that is in several of them, as the centre is, is computed once.

    Args:
        model: The network, in evaluation mode.
        images: uint8 (N, H, W, 3), as `views.corners_in` takes them.
        kinds: Kinds of views, of views.VIEWS.
        inputs: Constants, on the images' device.
        averaging: What is averaged over the views, and which classes compete.

    Returns:
        float32 (N, K) of each kind.
    """
    height, width = images.shape[1:3]
    corners = {kind: views.corners_in(kind, height, width, inputs.side) for kind in kinds}
    distinct = dict.fromkeys(corner for kind in kinds for corner in corners[kind])
    logits = {corner: model(views.patch(images, corner, inputs)) for corner in distinct}
    return {kind: averaging.mean([logits[corner] for corner in corners[kind]]) for kind in kinds}
