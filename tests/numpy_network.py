"""The network of 2012 a second time, in plain NumPy and float64, to hold alexrep's against.

Like its layers it shares no code with alexrep. The maps of both towers lie in one array, the
first tower's first: what a tower reads of its own is a group of a convolution.

Shapes: N images, U units, K classes, P side of the patch, S side of the stored images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from numpy_layers import (
    Back,
    Floats,
    across_maps,
    convolution,
    dropout,
    fully_connected,
    max_pool,
    relu,
    tanh,
    within_map,
)

Layer = Callable[[Floats], tuple[Floats, Back]]


@dataclass(frozen=True)
class Variant:
    """What differs between the networks that are called AlexNet."""

    is_rectified_first: bool = False
    """Whether the neurons of conv1 and conv5 come at once, or after the pools."""
    alpha: float = 1e-4 / 5
    """Factor on the sum of squares over five maps."""
    k: float = 2.0
    """What is added to it."""
    is_joint: bool = False
    """Whether that sum goes over both towers' maps."""
    is_within: bool = True
    """Whether a second normalisation, within each map, follows that of conv2."""
    is_inverted: bool = False
    """Whether dropout doubles what it keeps in training, or halves all in evaluation."""
    neuron: Layer = relu
    """Nonlinearity of all hidden layers."""
    mean_follows: bool = False
    """Whether the mean is cut at the patch's place and reflected with it, or at the centre."""
    is_bgr: bool = False
    """Whether the input's channels are blue, green, red."""


NET_145 = Variant()
TANH = Variant(neuron=tanh)
PAPER = Variant(is_rectified_first=True, alpha=1e-4, is_within=False)
CAFFE = Variant(
    is_rectified_first=True,
    k=1.0,
    is_joint=True,
    is_within=False,
    is_inverted=True,
    mean_follows=True,
    is_bgr=True,
)


class Network:
    """Forward, backward and update of the whole network."""

    def __init__(self, variant: Variant, values: Mapping[str, Floats]) -> None:
        """Take weights and biases by `<layer>.weight` and `<layer>.bias`.

        Weights of convolutions are (maps, maps read, side, side), others (units, units read);
        those of the first tower come first.
        """
        self.variant = variant
        self.values = dict(values)
        self.velocities = {name: np.zeros_like(value) for name, value in values.items()}
        self.gradients: dict[str, Floats] = {}
        self.outputs: dict[str, Floats] = {}
        """Of each layer of the last `forward`; a neuron's bears the name of the layer before."""
        self._backs: list[Back] = []

    def layers(self, masks: Mapping[str, Floats]) -> list[tuple[str, Layer]]:
        """Name the layers in order, each with its function."""
        variant, neuron, conv = self.variant, self.variant.neuron, convolution
        num_groups = 1 if variant.is_joint else 2
        norm = partial(across_maps, num_groups=num_groups, alpha=variant.alpha, k=variant.k)
        drop6, drop7 = (
            partial(dropout, mask=masks.get(name), is_inverted=variant.is_inverted)
            for name in ("fc6", "fc7")
        )
        after1: list[tuple[str, Layer]] = [("norm1", norm), ("pool1", max_pool), ("pool1", neuron)]
        after5: list[tuple[str, Layer]] = [("pool5", max_pool), ("pool5", neuron)]
        if variant.is_rectified_first:
            after1 = [("conv1", neuron), ("norm1", norm), ("pool1", max_pool)]
            after5 = [("rectified5", neuron), ("pool5", max_pool)]
        return [
            ("conv1", self._with_values("conv1", conv, stride=4)),
            *after1,
            ("conv2", self._with_values("conv2", conv, padding=2, groups=2)),
            ("conv2", neuron),
            ("norm2", norm),
            *([("within2", within_map)] if variant.is_within else []),
            ("pool2", max_pool),
            ("conv3", self._with_values("conv3", conv, padding=1)),
            ("conv3", neuron),
            ("conv4", self._with_values("conv4", conv, padding=1, groups=2)),
            ("conv4", neuron),
            ("conv5", self._with_values("conv5", conv, padding=1, groups=2)),
            *after5,
            ("fc6", self._with_values("fc6", fully_connected)),
            ("fc6", neuron),
            ("dropped6", drop6),
            ("fc7", self._with_values("fc7", fully_connected)),
            ("fc7", neuron),
            ("dropped7", drop7),
            ("fc8", self._with_values("fc8", fully_connected)),
        ]

    def _with_values(self, name: str, function: Callable[..., Any], **options: int) -> Layer:
        """Give `function` the values of layer `name`, and keep their gradients."""
        weight, bias = f"{name}.weight", f"{name}.bias"

        def run(read: Floats) -> tuple[Floats, Back]:
            out, back_to_all = function(read, self.values[weight], self.values[bias], **options)

            def back(gradient: Floats) -> Floats:
                to_read: Floats
                to_read, self.gradients[weight], self.gradients[bias] = back_to_all(gradient)
                return to_read

            return out, back

        return run

    def forward(self, images: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the logits (N, K) of patches (N, 3, P, P).

        Args:
            images: Mean-subtracted grey levels.
            masks: In training those of the dropouts, (N, U) of zeros and ones, by fc6 and fc7.
        """
        self._backs, out = [], images
        for name, layer in self.layers(masks or {}):
            out, back = layer(out)
            self.outputs[name] = out
            self._backs.append(back)
        return out

    def backward(self, gradient: Floats) -> Floats:
        """Fill `gradients` from that of the logits; return that of the images."""
        for back in reversed(self._backs):
            gradient = back(gradient)
        return gradient

    def update(self, rates: Mapping[str, float]) -> None:
        """Compute v <- 0.9 v - 0.0005 r w - r g, then w <- w + v; biases do not decay.

        A rate r of 0 leaves both v and w as they are.

        Args:
            rates: By the name of the parameter.
        """
        for name, rate in rates.items():
            if rate != 0:
                w, v, g = self.values[name], self.velocities[name], self.gradients[name]
                decay = 0.0005 if name.endswith("weight") else 0.0
                self.velocities[name] = 0.9 * v - decay * rate * w - rate * g
                self.values[name] = w + self.velocities[name]


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of (N, K)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Floats = powers / powers.sum(1, keepdims=True)
    return probabilities


def cross_entropy(logits: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    """Return -log of the label's probability, averaged over the batch, and its gradient."""
    likely, own = softmax(logits), (np.arange(len(labels)), labels)
    gradient = likely.copy()
    gradient[own] -= 1
    return float(-np.log(likely[own]).mean()), gradient / len(labels)


def ten_views(images: NDArray[np.uint8], mean: Floats, side: int, variant: Variant) -> list[Floats]:
    """Cut four corners and the centre of (N, S, S, 3), then reflect them; subtract the mean.

    Of 256 at a side of 224 the places are (0, 0), (0, 32), (16, 16), (32, 0) and (32, 32).
    """
    edge = images.shape[1] - side
    middle = edge // 2
    places = [(0, 0), (0, edge), (middle, middle), (edge, 0), (edge, edge)]
    found = []
    for step in (1, -1):
        for y, x in places:
            patches = images[:, y : y + side, x : x + side][:, :, ::step].astype(np.float64)
            if variant.mean_follows:
                patches -= mean[y : y + side, x : x + side][:, ::step]
            else:
                patches -= mean[middle : middle + side, middle : middle + side]
            colours = patches[..., ::-1] if variant.is_bgr else patches
            found.append(colours.transpose(0, 3, 1, 2))
    return found


def averaged(network: Network, views: list[Floats]) -> Floats:
    """Average the probabilities, not the logits, over the views; (N, K)."""
    average: Floats = np.mean([softmax(network.forward(view)) for view in views], axis=0)
    return average
