"""Every network that can be built: where it comes from, its size, and published errors.

A network of ours has a line in `OWN`; torchvision's are asked of torchvision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from alexrep.config.model import AlexNetModel, CifarModel, Model
from alexrep.config.torchvision import TorchvisionModel
from alexrep.models import count, registry, torchvision
from alexrep.models.count import Cost
from alexrep.models.without_values import WithoutValues

PAPER = "the paper, ten patches"
"""Whose errors table 2 of Krizhevsky et al. 2012 gives, and how they were scored."""
CODE = "cuda-convnet"


@dataclass(frozen=True)
class Entry:
    """A network of the list."""

    model: Model
    """Its settings, with the side that it is counted at."""
    source: str
    """The paper or program that it comes from, and the year."""
    top1_error: float | None = None
    """Published top-1 error, a fraction; on the val set of ILSVRC-2012, or of CIFAR-10's test."""
    top5_error: float | None = None
    """Published top-5 error, a fraction."""
    publisher: str = ""
    """Who published these errors, and for which weights or views."""
    published_multiply_adds: int | None = None
    """What the publisher says that an image takes."""
    num_classes: int = 1000
    """Classes that it is counted with."""

    @property
    def name(self) -> str:
        """The network's name; of torchvision's, `torchvision:` and torchvision's name."""
        return self.model.title

    def cost(self) -> Cost:
        """Count what it holds, and what an image takes."""
        with WithoutValues():
            network = registry.build(self.model, self.num_classes, seed=0)
        return count.total(count.count(network, self.model.side))


def _cifar(name: str, error: float) -> Entry:
    model = CifarModel.model_validate({"name": name})
    return Entry(model, "cuda-convnet 2011", error, None, CODE, num_classes=10)


OWN: tuple[Entry, ...] = (
    Entry(AlexNetModel(), "Krizhevsky et al. 2012", 0.407, 0.182, PAPER),
    _cifar("cifar10-80sec", 0.26),
    _cifar("cifar10-18pct", 0.18),
    _cifar("cifar10-13pct", 0.13),
    _cifar("cifar10-11pct", 0.11),
)
"""The networks of models/ but for torchvision's."""


def entries(pattern: str = "*") -> Iterator[Entry]:
    """Yield the networks whose names match a pattern of the shell, ours first.

    Args:
        pattern: Matches the whole name, or torchvision's name of a network: `resnet*`.
    """
    for entry in OWN:
        if fnmatchcase(entry.name, pattern):
            yield entry
    for arch in torchvision.names():
        if fnmatchcase(arch, pattern) or fnmatchcase(f"torchvision:{arch}", pattern):
            yield _of_torchvision(arch)


def _of_torchvision(arch: str) -> Entry:
    """Return torchvision's own account of a network and its weights."""
    model = TorchvisionModel.model_validate({"arch": arch})
    published = torchvision.published(arch, model.side)
    return Entry(
        model,
        torchvision.source(arch),
        published.top1_error,
        published.top5_error,
        f"torchvision {published.weights}, centre",
        published.multiply_adds,
    )
