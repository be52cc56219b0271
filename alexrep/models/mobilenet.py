"""MobileNet of 2017: a network of separable convolutions."""

from collections import OrderedDict

from torch import nn

from alexrep.config.networks import MobileNetModel
from alexrep.models.layers import activation, classifier, conv, depthwise

FIRST = 32
"""Maps of the first convolution."""
LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Maps and stride of each separable convolution.

Source: Howard et al. 2017, table 1, whose last stride of 2 is a misprint: its output is 7 x 7.
"""


def make(model: MobileNetModel, num_classes: int) -> nn.Module:
    """Make the network of a recipe, without initial values of ours.

    With 1,000 classes and the full width it has 4,231,976 parameters that are trained.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
    """
    num = _scaled(FIRST, model.width)
    first = {"conv": conv(3, num, 3, 2), "activation": activation(num)}
    parts: dict[str, nn.Module] = {"layer1": nn.Sequential(OrderedDict(first))}
    for number, (maps, stride) in enumerate(LAYERS, start=2):
        wide = _scaled(maps, model.width)
        parts[f"layer{number}"] = _layer(num, wide, stride)
        num = wide
    parts["head"] = classifier(num, num_classes, model.dropout_rate)
    return nn.Sequential(OrderedDict(parts))


def _layer(num_in: int, num_out: int, stride: int) -> nn.Sequential:
    """Return a separable convolution with normalisation and ReLU after each of its halves."""
    parts = {
        "depthwise": depthwise(num_in, 3, stride),
        "activation": activation(num_in),
        "pointwise": conv(num_in, num_out, 1),
        "activation2": activation(num_out),
    }
    return nn.Sequential(OrderedDict(parts))


def _scaled(maps: int, width: float) -> int:
    return max(1, round(maps * width))
