"""The two networks of the Tiny ImageNet demo, for images of 64 pixels.

Their parameters are counted there with the running means and variances of normalisations, which
are not trained. Both tables are met layer by layer.

Shapes: N images, C maps, H rows, W columns.

Source: the tables of the repository TidalPaladin/tiny-imagenet-demo (its README, and the summary
of its model 20190919-040503).
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from alexrep.config.networks import TinyInceptionModel, TinyResNetModel
from alexrep.models import resnet
from alexrep.models.layers import activation, classifier, conv, depthwise, separable
from alexrep.models.resnet import Block, Stem


def make_resnet(model: TinyResNetModel, num_classes: int) -> nn.Module:
    """Make `tiny-resnet`, without initial values of ours.

    A residual network of 2016. Its blocks enter a bottleneck of a quarter of the maps by a
    separable 1 x 1 convolution, whose first half is a factor on each map, and leave it by a
    separable 3 x 3 one; shortcuts that halve the side are full 3 x 3 convolutions.

    At width 32, levels 3, 6, 4 and 61 classes 494,110 parameters, of which 490,446 are trained:
    the stem 9 x 49 + 9 x 32; a bottleneck of c maps c^2 / 2 + 33 c / 4; one that makes 2 c maps
    of c at half the side 39 c^2 / 2 + 23 c / 2; the last normalisation 4 x 256; the head 15,677.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
    """
    first, *others = model.levels
    # 7 x 7, each colour into three maps; nothing follows, as the first block normalises.
    stem = Stem(separable(3, model.width, 7, multiplier=3), model.width, is_activated=False)
    head = partial(classifier, num_classes=num_classes, dropout_rate=model.dropout_rate)
    return resnet.network(
        # The block that halves the side is the first of the next level.
        (first, *(1 + count for count in others), 1),
        Block(_separable_bottleneck, projection=3),
        model.width,
        preactivation=True,
        stem=stem if model.stem else None,
        head=head if model.head else None,
    )


def make_inception(model: TinyInceptionModel, num_classes: int) -> nn.Module:
    """Make `tiny-inception`, without initial values of ours.

    Blocks in the manner of Inception-ResNet (Szegedy et al. 2016), of separable convolutions:
    levels of width w, 3 w and 12 w, with sides of 64, 32 and 16 pixels.

    At width 64, levels 2, 4, 2 and 200 classes 975,715 parameters, of which 966,851 are trained:
    the stem 3,387, a block of the levels 3,664, 19,824 and 300,480, the reductions between them
    9,600 and 118,272, the last normalisation 3,072 and the head 153,800. To count this the last
    level has windows of 7 as the second: its own of 3 were made there, but never called.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
    """
    first, second, third = (model.width * factor for factor in (1, 3, 12))
    parts: dict[str, nn.Module] = {"stem": InceptionStem(first)}
    levels = ((first, (1, 2), 3), (second, (1,), 7), (third, (1,), 7))
    for level, (num, chains, size) in enumerate(levels, start=1):
        blocks = [InceptionBlock(num, chains, size) for _ in range(model.levels[level - 1])]
        parts[f"level{level}"] = nn.Sequential(*blocks)
        if level < len(levels):
            parts[f"reduction{level}"] = Reduction(num, is_wide=level > 1)
    parts["last"] = activation(third)
    parts["head"] = classifier(third, num_classes, model.dropout_rate)
    return nn.Sequential(OrderedDict(parts))


class Branches(nn.ModuleList):
    """Modules that read the same maps, and whose maps are joined."""

    def forward(self, maps: Tensor) -> Tensor:
        """Compute them of maps (N, C, H, W), and join what they give along C."""
        return torch.cat([branch(maps) for branch in self], dim=1)


class InceptionBlock(nn.Module):
    """Some chains of convolutions in a bottleneck of an eighth of the maps, added to the maps."""

    def __init__(self, num: int, chains: tuple[int, ...], size: int) -> None:
        """Make one.

        Args:
            num: Maps that it reads and gives.
            chains: Windows in each chain; beside them one mixes the maps only.
            size: Side of the windows.
        """
        super().__init__()
        inner = num // 8
        self.before = activation(num)
        paths = [_chain(num, inner, count, size) for count in chains]
        self.branches = Branches([*paths, conv(num, inner, 1)])
        joined = inner * (len(chains) + 1)
        self.norm = nn.BatchNorm2d(joined)
        self.up = conv(joined, num, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the block of maps (N, C, H, W); what is added to is normalised, too."""
        ready = self.before(maps)
        out: Tensor = ready + self.up(self.norm(self.branches(ready)))
        return out


class Reduction(nn.Sequential):
    """Half the side, by convolutions and a pool beside them: three times the maps, or four."""

    def __init__(self, num: int, *, is_wide: bool) -> None:
        """Read `num` maps; with `is_wide` two paths of two separable convolutions."""
        half = num // 2
        middle = nn.Sequential(conv(num, half, 1), depthwise(half), separable(half, num, stride=2))
        pool = nn.MaxPool2d(3, 2, 1)

        def twice() -> nn.Sequential:
            return nn.Sequential(separable(num, half), separable(half, num, stride=2))

        narrow = [separable(num, num, stride=2), middle, pool]
        branches = [twice(), middle, pool, twice()] if is_wide else narrow
        super().__init__(OrderedDict(before=activation(num), branches=Branches(branches)))


class InceptionStem(nn.Sequential):
    """Separable convolutions and pools beside them, all of stride 1: 3 colours to `num` maps."""

    def __init__(self, num: int) -> None:
        """Give `num` maps."""
        quarter, half = num // 4, num // 2
        parts = {
            "conv1": separable(3, quarter),
            "branches2": Branches([separable(quarter, quarter), nn.MaxPool2d(3, 1, 1)]),
            "branches3": Branches([_chain(half, quarter, 1, 7), separable(half, quarter)]),
            "branches4": Branches([separable(half, half), nn.MaxPool2d(3, 1, 1)]),
        }
        super().__init__(OrderedDict(parts))


def _separable_bottleneck(num_in: int, width: int, stride: int) -> list[nn.Module]:
    inner = width // 4
    return [separable(num_in, inner, 1), separable(inner, width, 3, stride)]


def _chain(num_in: int, num: int, count: int, size: int) -> nn.Sequential:
    """Mix the maps, then `count` times normalise, and convolve each by itself: columns, rows."""
    parts: list[nn.Module] = [conv(num_in, num, 1)]
    for _ in range(count):
        parts += [nn.BatchNorm2d(num), depthwise(num, (size, 1)), depthwise(num, (1, size))]
    return nn.Sequential(*parts)
