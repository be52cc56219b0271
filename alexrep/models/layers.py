"""Groups of layers that the networks since 2012 are made of.

Shapes: N images, C maps, H rows, W columns.
"""

from collections import OrderedDict

from torch import nn

from alexrep.models.dropout import MaskDropout

LAST = 1
"""Number of the dropout before the last layer, by which its masks are drawn."""


def conv(
    num_in: int, num_out: int, size: int | tuple[int, int] = 3, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution without biases, with zeros around that keep the side at stride 1."""
    rows, columns = (size, size) if isinstance(size, int) else size
    padding = rows // 2, columns // 2
    window = (rows, columns)
    return nn.Conv2d(num_in, num_out, window, stride, padding, groups=groups, bias=False)


def depthwise(num: int, size: int | tuple[int, int] = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution of each map by itself."""
    return conv(num, num, size, stride, groups=num)


def separable(
    num_in: int, num_out: int, size: int = 3, stride: int = 1, multiplier: int = 1
) -> nn.Sequential:
    """Return a convolution of each map by itself, into `multiplier` maps, and one that mixes them.

    Source: Chollet 2017 (Xception), without normalisation or ReLU between the two.
    """
    num = num_in * multiplier
    parts = {
        "depthwise": conv(num_in, num, size, stride, groups=num_in),
        "pointwise": conv(num, num_out, 1),
    }
    return nn.Sequential(OrderedDict(parts))


def activation(num: int) -> nn.Sequential:
    """Return a normalisation over the batch, and ReLU."""
    parts = {"norm": nn.BatchNorm2d(num), "relu": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(parts))


def classifier(num: int, num_classes: int, dropout_rate: float = 0.0) -> nn.Sequential:
    """Return what gives logits (N, K) of maps (N, C, H, W): their means and a connected layer.

    Args:
        num: Maps, C.
        num_classes: Logits, K.
        dropout_rate: Probability that a mean is silenced in training; the others are divided
            by one less it.
    """
    parts: dict[str, nn.Module] = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    if dropout_rate:
        parts["dropout"] = MaskDropout(LAST, is_inverted=True, rate=dropout_rate)
    parts["fc"] = nn.Linear(num, num_classes)
    return nn.Sequential(OrderedDict(parts))
