"""Top-1 and top-5 error, exact sums over exactly the images that a split has.

Shapes: N images, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from alexrep.compute.devices import widest_float

TOP = 5


@dataclass
class Scores:
    """Running sums; images that could not be prepared count as errors."""

    num_quarantined: int = 0
    num_scored: int = 0
    top1_credit: float = 0.0
    top5_credit: float = 0.0
    loss_sum: float = 0.0

    def add(self, probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Count in a batch.

        Args:
            probabilities: (N, K), each row summing to one.
            labels: Class index, int64 (N,).

        Returns:
            The probability of each label, (N,), and its credits for top-1 and top-5,
            float64 (N, 2).

        Raises:
            ValueError: If a probability is not a number.
        """
        if not bool(torch.isfinite(probabilities).all()):
            raise ValueError("probabilities: expected finite numbers, found others")
        own = probabilities.gather(1, labels[:, None])[:, 0]
        tiny = torch.finfo(probabilities.dtype).tiny
        both = torch.stack([credit(probabilities, labels, top) for top in (1, TOP)], dim=1)
        self.num_scored += len(labels)
        self.top1_credit += float(both[:, 0].sum())
        self.top5_credit += float(both[:, 1].sum())
        self.loss_sum += float(-own.clamp_min(tiny).to(widest_float(own.device)).log().sum())
        return own, both

    @property
    def num_images(self) -> int:
        """Images of the split, those in quarantine included."""
        return self.num_scored + self.num_quarantined

    @property
    def top1_error(self) -> float:
        """Fraction of images whose label is not the likeliest class."""
        return (self.num_images - self.top1_credit) / self.num_images

    @property
    def top5_error(self) -> float:
        """Fraction of images whose label is not among the five likeliest classes."""
        return (self.num_images - self.top5_credit) / self.num_images

    @property
    def loss(self) -> float:
        """Mean of -log(probability of the label), over the images scored."""
        return self.loss_sum / max(1, self.num_scored)


def credit(probabilities: Tensor, labels: Tensor, top: int) -> Tensor:
    """Return each image's credit for having its label among the `top` likeliest classes.

    Where the label ties with t - 1 others for the last g places that are left, the
    credit is g / t, as by drawing lots; for top-1 this is the released source's 1 / t.

    Args:
        probabilities: (N, K).
        labels: int64 (N,).
        top: Places that count.

    Returns:
        float64 (N,), in [0, 1].
    """
    own = probabilities.gather(1, labels[:, None])
    above = (probabilities > own).sum(dim=1)
    tied = (probabilities == own).sum(dim=1)
    return ((top - above).to(widest_float(own.device)) / tied).clamp(0, 1)
