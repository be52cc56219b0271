"""Every network that can be built: where it comes from, its size, and published errors.

A network of ours has a line in `OWN`; torchvision's are asked of torchvision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from alexrep.config.model import AlexNetModel, CifarModel, Model
from alexrep.config.networks import (
    AlexNet2014Model,
    MobileNetModel,
    ResNetModel,
    TinyInceptionModel,
    TinyResNetModel,
)
from alexrep.config.torchvision import TorchvisionModel
from alexrep.models import count, registry, torchvision
from alexrep.models.count import Cost
from alexrep.models.without_values import WithoutValues

PAPER = "the paper, ten patches"
"""Whose errors table 2 of Krizhevsky et al. 2012 gives, and how they were scored."""
CODE = "cuda-convnet"
TINY = "tiny-imagenet-demo 2019"
TEN_PATCHES = "its paper, ten patches"
REPEATS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of each level of a residual network, by its layers. Source: He et al. 2015, table 1."""
BOTTLENECKS = 50
"""Layers from which on its blocks are bottlenecks."""


@dataclass(frozen=True)
class Entry:
    """A network of the list."""

    model: Model
    """Its settings, with the side that it is counted at."""
    source: str
    """The paper or program that it comes from, and the year."""
    top1_error: float | None = None
    """Published top-1 error, a fraction; on the val set of ILSVRC-2012, or of CIFAR-10's test, if
    the publisher does not say another."""
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


def _resnet(
    depth: int, top1_error: float, top5_error: float | None, *, is_2016: bool = False
) -> Entry:
    model = ResNetModel(
        name="resnet",
        repeats=REPEATS[depth],
        block="basic" if depth < BOTTLENECKS else "bottleneck",
        preactivation=is_2016,
    )
    source = f"He et al. {2016 if is_2016 else 2015}"
    publisher = f"Keras ResNet{depth}V2, centre" if is_2016 else TEN_PATCHES
    return Entry(model, source, top1_error, top5_error, publisher)


OWN: tuple[Entry, ...] = (
    Entry(AlexNetModel(), "Krizhevsky et al. 2012", 0.407, 0.182, PAPER),
    Entry(AlexNetModel(num_towers=1, width=2.0), "Krizhevsky et al. 2012"),
    Entry(AlexNet2014Model(), "Krizhevsky 2014", 0.4233, None, "its paper, centre"),
    _resnet(18, 0.2788, None),
    _resnet(34, 0.2452, 0.0746),
    _resnet(50, 0.2285, 0.0671),
    _resnet(101, 0.2175, 0.0605),
    _resnet(152, 0.2143, 0.0571),
    _resnet(50, 0.240, 0.070, is_2016=True),
    _resnet(101, 0.228, 0.062, is_2016=True),
    _resnet(152, 0.220, 0.058, is_2016=True),
    Entry(
        MobileNetModel(name="mobilenet-v1"), "Howard et al. 2017", 0.294, None, "its paper, centre"
    ),
    Entry(TinyResNetModel(name="tiny-resnet"), TINY, num_classes=61),
    Entry(
        TinyInceptionModel(name="tiny-inception"),
        *(TINY, 0.48, 0.24, "its README, on Tiny ImageNet"),
        num_classes=200,
    ),
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


def names() -> list[str]:
    """Return the names of all networks, torchvision's without `torchvision:`."""
    return [*(entry.name for entry in OWN), *torchvision.names()]


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
