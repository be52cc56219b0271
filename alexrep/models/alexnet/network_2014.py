"""The network of 2014: that of 2012 in one tower, narrower at first, without normalisations."""

from collections import OrderedDict

from torch import nn

from alexrep.config.networks import AlexNet2014Model
from alexrep.errors import ConfigError, mismatch
from alexrep.models.dropout import MaskDropout

CONVS = ((64, 11), (192, 5), (384, 3), (384, 3), (256, 3))
"""Kernels of each convolution and their side.

Source: Krizhevsky 2014, section 5 and the program cuda-convnet2. torchvision's AlexNet has 256
kernels in the fourth, and so 737,408 parameters fewer.
"""
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
    num = 3
    for number, (maps, size) in enumerate(CONVS, start=1):
        wide, stride = _scaled(maps, model), model.conv1_stride if number == 1 else 1
        padding = PADDING if number == 1 else size // 2
        parts[f"conv{number}"] = nn.Conv2d(num, wide, size, stride, padding)
        parts[f"relu{number}"] = nn.ReLU(inplace=True)
        if number in POOLED:
            parts[f"pool{number}"] = nn.MaxPool2d(3, 2)
        num = wide
    return num


def _last_side(model: AlexNet2014Model) -> int:
    """Return the side of the maps after the last pool; 6 of 224 pixels."""
    side = (model.side + 2 * PADDING - CONVS[0][1]) // model.conv1_stride + 1
    for _ in POOLED:
        side = (side - 3) // 2 + 1
    if side < 1:
        advice = "take a larger patch, or a smaller model.conv1_stride"
        wanted = "one that leaves a pixel after the last pool"
        raise ConfigError(mismatch("model.side", wanted, model.side, advice))
    return side


def _scaled(num: int, model: AlexNet2014Model) -> int:
    return max(1, round(num * model.width))
