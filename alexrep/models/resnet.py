"""Residual networks of 2015 and 2016, of any depth, width, block, stem and head.

Shapes: N images, C maps, H rows, W columns.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn

from alexrep.config.networks import ResNetModel
from alexrep.models.layers import activation, classifier, conv

Convolutions = Callable[[int, int, int], list[nn.Module]]
"""Makes the convolutions of a block of the maps that it reads, its width, and its stride."""


@dataclass(frozen=True)
class Block:
    """What the blocks of a network have in common."""

    convolutions: Convolutions
    expansion: int = 1
    """Maps that a block gives for each of its width."""
    projection: int = 1
    """Side of the kernels of a shortcut that changes the number of maps, or their side."""


@dataclass(frozen=True)
class Stem:
    """What comes before the first level."""

    layers: nn.Module
    num_out: int
    """Maps that it gives."""
    is_activated: bool = True
    """Whether it ends with a normalisation and ReLU: then the first block of a network of 2016
    has none of its own, as in the paper's appendix."""


class Residual(nn.Module):
    """A block: the sum of some convolutions and a shortcut around them."""

    def __init__(
        self,
        block: Block,
        num_in: int,
        width: int,
        stride: int,
        *,
        preactivation: bool,
        is_activated: bool = False,
    ) -> None:
        """Make one.

        Args:
            block: Its convolutions.
            num_in: Maps that it reads.
            width: Its width; it gives `block.expansion` times as many maps.
            stride: 2 to halve the side, else 1.
            preactivation: Whether normalisation and ReLU come before its convolutions, as in
                2016; else after the sum, as in 2015.
            is_activated: Whether the maps that it reads have been through both already.
        """
        super().__init__()
        is_2015, num_out = not preactivation, width * block.expansion
        self.before = nn.Identity() if is_2015 or is_activated else activation(num_in)
        self.branch = _branch(block.convolutions(num_in, width, stride), is_2015)
        self.projects = stride > 1 or num_in != num_out
        shortcut = conv(num_in, num_out, block.projection, stride)
        parts = [shortcut, nn.BatchNorm2d(num_out)] if is_2015 else [shortcut]
        self.shortcut = nn.Sequential(*parts if self.projects else ())
        self.after = nn.ReLU(inplace=True) if is_2015 else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the block of maps (N, C, H, W)."""
        ready = self.before(maps)
        # A projection reads what the convolutions read; the identity takes the maps as they are.
        beside = self.shortcut(ready) if self.projects else maps
        out: Tensor = self.after(self.branch(ready) + beside)
        return out


def network(
    repeats: Sequence[int],
    block: Block,
    width: int,
    *,
    preactivation: bool,
    stem: Stem | None,
    head: Callable[[int], nn.Module] | None,
) -> nn.Sequential:
    """Make a residual network, its parameters as torch draws them.

    Args:
        repeats: Blocks of each level. The first of a level halves the side, but in the first
            level.
        block: The blocks.
        width: Width of the first level; each level has twice that of the one before.
        preactivation: Whether it is a network of 2016; else one of 2015.
        stem: What reads the images; none: the first level does.
        head: Makes, of the number of maps, what reads the last level's; none: the maps are
            what the network gives.

    Returns:
        Its parts `stem`, `layer1` and so on, of one of 2016 `last` (normalisation and ReLU), and
        `head`.

    Source: He et al. 2015, table 1 and figure 5; He et al. 2016, figure 4 and appendix.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    num, is_activated = 3, False
    if stem is not None:
        parts["stem"], num, is_activated = stem.layers, stem.num_out, stem.is_activated
    make_block = partial(Residual, block, preactivation=preactivation)
    for level, count in enumerate(repeats):
        blocks, wide = [], width << level
        for index in range(count):
            stride = 2 if level and not index else 1
            blocks.append(make_block(num, wide, stride, is_activated=is_activated))
            num, is_activated = wide * block.expansion, False
        parts[f"layer{level + 1}"] = nn.Sequential(*blocks)
    if preactivation:
        parts["last"] = activation(num)
    if head is not None:
        parts["head"] = head(num)
    return nn.Sequential(parts)


def basic(num_in: int, width: int, stride: int) -> list[nn.Module]:
    """Return the two 3 x 3 convolutions of ResNet-18 and -34."""
    return [conv(num_in, width, 3, stride), conv(width, width)]


def bottleneck(
    num_in: int, width: int, stride: int, stride_in: Literal["3x3", "1x1"] = "3x3"
) -> list[nn.Module]:
    """Return the 1 x 1, 3 x 3 and 1 x 1 convolutions of ResNet-50 and deeper ones."""
    first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
    return [
        conv(num_in, width, 1, first),
        conv(width, width, 3, second),
        conv(width, 4 * width, 1),
    ]


def image_stem(kind: Literal["7x7", "3x3"], width: int) -> Stem:
    """Return the stem for ImageNet, a quarter of the side, or for CIFAR, the whole side."""
    size, stride = (7, 2) if kind == "7x7" else (3, 1)
    parts: dict[str, nn.Module] = {
        "conv1": conv(3, width, size, stride),
        "norm1": nn.BatchNorm2d(width),
        "relu1": nn.ReLU(inplace=True),
    }
    if kind == "7x7":
        parts["pool1"] = nn.MaxPool2d(3, 2, 1)
    return Stem(nn.Sequential(OrderedDict(parts)), width)


def make(model: ResNetModel, num_classes: int) -> nn.Module:
    """Make the network of a recipe, without initial values of ours.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
    """
    wide = partial(bottleneck, stride_in=model.stride_in)
    head = partial(classifier, num_classes=num_classes, dropout_rate=model.dropout_rate)
    return network(
        model.repeats,
        Block(basic) if model.block == "basic" else Block(wide, expansion=4),
        model.width,
        preactivation=model.preactivation,
        stem=None if model.stem == "none" else image_stem(model.stem, model.width),
        head=head if model.head else None,
    )


def _branch(convolutions: Sequence[nn.Module], is_2015: bool) -> nn.Sequential:
    """Put normalisations and ReLUs between convolutions, and of 2015 a normalisation last."""
    parts: dict[str, nn.Module] = {}
    for number, layer in enumerate(convolutions, start=1):
        is_last = number == len(convolutions)
        parts[f"conv{number}"] = layer
        if is_2015 or not is_last:
            parts[f"norm{number}"] = nn.BatchNorm2d(_num_out(layer))
        if not is_last:
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
    return nn.Sequential(OrderedDict(parts))


def _num_out(layer: nn.Module) -> int:
    """Return the maps that a convolution, or the last of several, gives."""
    last = [part for part in layer.modules() if isinstance(part, nn.Conv2d)][-1]
    return last.out_channels
