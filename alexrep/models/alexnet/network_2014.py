"""The network of 2014: that of 2012 in one tower, narrower at first, without normalisations."""

from collections import OrderedDict

from torch import nn

from alexrep.config.networks import AlexNet2014Model
from alexrep.errors import ConfigError, mismatch
from alexrep.models.dropout import MaskDropout

KERNELS = (64, 192, 384, 384, 256)
"""Kernels of each convolution.

Source: Krizhevsky 2014, section 5 and the program cuda-convnet2. torchvision's AlexNet has 256
kernels in the fourth, and so 737,408 parameters fewer.
"""
WINDOWS = ((5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))
"""Side of the kernels, stride and zeros around the maps, from the second convolution on."""
POOLED = (1, 2, 5)
"""Convolutions that an overlapping pool follows."""
PADDING = 2
"""Zeros on each side of what conv1 reads."""
UNITS = 4096
"""Units of fc6 and of fc7."""


def make(model: AlexNet2014Model, num_classes: int) -> nn.Module:
    """Make the network of a recipe, without initial values of ours.

    At width 1, side 224 and 1,000 classes it has 61,838,248 parameters.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.

    Raises:
        ConfigError: If the side leaves a layer empty.
    """
    parts: dict[str, nn.Module] = {}
    num = _add_convolutions(parts, model)
    parts["flat"], num = nn.Flatten(), num * _last_side(model) ** 2
    for number in (6, 7):
        wide = _scaled(UNITS, model)
        parts[f"fc{number}"] = nn.Linear(num, wide)
        parts[f"relu{number}"] = nn.ReLU(inplace=True)
        if model.dropout_rate:
            dropout = MaskDropout(number, is_inverted=True, rate=model.dropout_rate)
            parts[f"dropout{number}"] = dropout
        num = wide
    parts["fc8"] = nn.Linear(num, num_classes)
    return nn.Sequential(OrderedDict(parts))


def _add_convolutions(parts: dict[str, nn.Module], model: AlexNet2014Model) -> int:
    """Add the convolutions and pools to `parts`; return the maps of the last."""
    num, windows = 3, ((*model.conv1, PADDING), *WINDOWS)
    for number, (maps, window) in enumerate(zip(KERNELS, windows, strict=True), start=1):
        wide = _scaled(maps, model)
        parts[f"conv{number}"] = nn.Conv2d(num, wide, *window)
        parts[f"relu{number}"] = nn.ReLU(inplace=True)
        if number in POOLED:
            parts[f"pool{number}"] = nn.MaxPool2d(3, 2)
        num = wide
    return num


def _last_side(model: AlexNet2014Model) -> int:
    """Return the side of the maps after the last pool; 6 of 224 pixels."""
    size, stride = model.conv1
    side = (model.side + 2 * PADDING - size) // stride + 1
    for _ in POOLED:
        side = (side - 3) // 2 + 1
    if side < 1:
        advice = "take a larger patch, or a smaller stride in model.conv1"
        wanted = "one that leaves a pixel after the last pool"
        raise ConfigError(mismatch("model.side", wanted, model.side, advice))
    return side


def _scaled(num: int, model: AlexNet2014Model) -> int:
    return max(1, round(num * model.width))
