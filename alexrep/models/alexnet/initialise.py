"""The initial weights and biases of the 2012 network."""

import torch
from torch import nn

from alexrep.config.model import AlexNetModel
from alexrep.models import initial_values

STD = 0.01
STDS = {
    "code": {"conv3": 0.03, "conv4": 0.03, "conv5": 0.03, "conv6": 0.03},
    "paper": {},
    "caffe": {"fc6": 0.005, "fc7": 0.005},
}
"""Standard deviations of the weights that are not `STD`, by initialisation and layer."""
BIASES = {"code": 1.0, "paper": 1.0, "caffe": 0.1}
"""Biases of the layers `BIASED`, by initialisation; all others are 0."""
BIASED = ("conv2", "conv4", "conv5", "conv6", "fc6", "fc7")


@torch.no_grad()
def initialise(network: nn.Module, model: AlexNetModel, seed: int) -> None:
    """Draw the weights from zero-mean Gaussians, not truncated, and set the biases.

    The draws are made on the CPU in float32, parameter by parameter in the order of their
    names, from a generator of their own: the same seed gives the same bits on any device.

    Args:
        network: Its parameters are named `...<layer>.weight` and `...<layer>.bias`.
        model: `initialisation` and `std_factor` are used.
        seed: Seed of the generator.

    Source: Krizhevsky et al. 2012, section 5: standard deviation 0.01, biases 1 in conv2,
        conv4, conv5, fc6 and fc7, else 0.
    Departure: with `initialisation = "code"` conv3 to conv6 have 0.03, as in the released
        source. With 0.01 a tenth as much of the picture reaches the logits. `caffe` has
        0.005 in fc6 and fc7, and 0.1 where the others have biases of 1, as in Caffe's net. The
        other three are those of `initial_values.draw`.
    """
    if model.initialisation in ("kaiming", "xavier", "torch"):
        initial_values.draw(network, model.initialisation, seed, factor=model.std_factor)
        return
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in sorted(network.named_parameters()):
        layer, kind = name.split(".")[-2:]
        if kind == "bias":
            parameter.fill_(BIASES[model.initialisation] if layer in BIASED else 0.0)
        else:
            std = standard_deviation(layer, model)
            parameter.copy_(torch.empty(parameter.shape).normal_(0, std, generator=generator))


def standard_deviation(layer: str, model: AlexNetModel) -> float:
    """Return the standard deviation of the initial weights of `layer`."""
    return model.std_factor * STDS[model.initialisation].get(layer, STD)
