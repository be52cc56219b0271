"""torchvision's classification networks, with a head as wide as the classes and our seed."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from alexrep.config.torchvision import TorchvisionModel
from alexrep.errors import ConfigError, examples, mismatch, suggestion

AUXILIARY_WEIGHTS = {"googlenet": 0.3, "inception_v3": 0.4}
"""Weight of each auxiliary head's loss.

Source: Szegedy et al. 2015, section 5; torchvision's training reference for Inception v3.
"""

SOURCES = {
    "alexnet": "Krizhevsky 2014",
    "convnext": "Liu et al. 2022",
    "densenet": "Huang et al. 2016",
    "efficientnet_b": "Tan and Le 2019",
    "efficientnet_v2": "Tan and Le 2021",
    "googlenet": "Szegedy et al. 2014",
    "inception_v3": "Szegedy et al. 2015",
    "maxvit": "Tu et al. 2022",
    "mnasnet": "Tan et al. 2018",
    "mobilenet_v2": "Sandler et al. 2018",
    "mobilenet_v3": "Howard et al. 2019",
    "regnet": "Radosavovic et al. 2020",
    "resnet": "He et al. 2015",
    "resnext": "Xie et al. 2016",
    "shufflenet_v2": "Ma et al. 2018",
    "squeezenet": "Iandola et al. 2016",
    "swin": "Liu et al. 2021, Swin",
    "swin_v2": "Liu et al. 2021, Swin v2",
    "vgg": "Simonyan and Zisserman 2014",
    "vit": "Dosovitskiy et al. 2020",
    "wide_resnet": "Zagoruyko and Komodakis 2016",
}
"""Paper of a network, by the beginning of its name: authors and year of the first version."""


@dataclass(frozen=True)
class Published:
    """What torchvision says of the weights that it offers for a network."""

    weights: str
    """Their name in torchvision, such as IMAGENET1K_V1."""
    top1_error: float
    """Error on the val set of ILSVRC-2012 by the centre patch, a fraction."""
    top5_error: float
    """The same for the five likeliest classes."""
    multiply_adds: int
    """Of an image."""
    num_parameters: int
    """Parameters of the network without auxiliary heads that the weights lack."""


def names() -> list[str]:
    """Return the names of torchvision's classification networks."""
    from torchvision import models  # noqa: PLC0415 (takes a second, and few runs need it)

    return [str(name) for name in models.list_models(module=models)]


def source(arch: str) -> str:
    """Return the paper that a network comes from: authors and year."""
    return SOURCES[max((start for start in SOURCES if arch.startswith(start)), key=len)]


def published(arch: str, side: int) -> Published:
    """Return what torchvision says of a network's first weights for a side of the patch.

    Nothing is downloaded.
    """
    from torchvision import models  # noqa: PLC0415 (see `names`)

    offered = list(models.get_model_weights(arch))
    fitting = [one for one in offered if one.transforms.keywords["crop_size"] == side]
    weights = (fitting or offered)[0]
    correct = weights.meta["_metrics"]["ImageNet-1K"]
    top1_error, top5_error = (round(1 - correct[f"acc@{top}"] / 100, 5) for top in (1, 5))
    multiply_adds, num_parameters = round(weights.meta["_ops"] * 1e9), weights.meta["num_params"]
    return Published(weights.name, top1_error, top5_error, multiply_adds, num_parameters)


def build(model: TorchvisionModel, num_classes: int, seed: int) -> nn.Module:
    """Make the network with torchvision's initial values, on the CPU.

    The values are drawn from torch's own generator, which is put back as it was. GoogLeNet and
    Inception v3 have their auxiliary heads, which give logits in training only.

    Args:
        model: The network of a recipe.
        num_classes: Logits per image.
        seed: Seed of the initial values.

    Raises:
        ConfigError: If torchvision has no such network, or does not make it with these arguments.
    """
    if model.arch not in (known := names()):
        advice = suggestion(model.arch, known, 0.5) or "see alexrep models"
        wanted = f"one of torchvision's {len(known)} classification networks"
        raise ConfigError(mismatch("model.arch", wanted, repr(model.arch), advice))
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which seeds the GPUs' generators, too.
        torch.default_generator.manual_seed(seed)
        network = _made(model, num_classes)
    if model.arch in AUXILIARY_WEIGHTS:
        weight = model.auxiliary_weight
        own = AUXILIARY_WEIGHTS[model.arch] if weight is None else weight
        network.auxiliary_weight = own  # type: ignore[assignment]
    elif model.auxiliary_weight is not None:
        wanted, advice = f"none, as {model.arch} has no auxiliary heads", "leave it out"
        raise ConfigError(
            mismatch("model.auxiliary_weight", wanted, model.auxiliary_weight, advice)
        )
    return network


def _made(model: TorchvisionModel, num_classes: int) -> nn.Module:
    """Call torchvision's constructor, and refuse arguments that it takes without a use for them."""
    from torchvision import models  # noqa: PLC0415 (see `names`)

    given: dict[str, Any] = dict(model.arguments)
    if model.dropout is not None:
        given["drop_rate" if model.arch.startswith("densenet") else "dropout"] = model.dropout
    arguments = {**_fixed(model), **given, "weights": None, "num_classes": num_classes}
    try:
        network: nn.Module = models.get_model(model.arch, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        where, wanted = "model", f"what torchvision makes {model.arch} of"
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(mismatch(where, wanted, first, "mend model's fields")) from None
    # Some constructors take any name, and do nothing with those that they do not know.
    known = inspect.signature(type(network)).parameters.keys() - {"weights", "num_classes"}
    if odd := sorted(given.keys() - known):
        where = "model.dropout" if odd[0] not in model.arguments else "model.arguments"
        wanted = f"any of {examples(sorted(known - {'args', 'kwargs'}), most=12)}"
        raise ConfigError(mismatch(where, wanted, repr(odd[0]), f"leave it out for {model.arch}"))
    return network


def _fixed(model: TorchvisionModel) -> dict[str, Any]:
    """Return the arguments that follow from the other fields."""
    if model.arch in AUXILIARY_WEIGHTS:
        return {"aux_logits": True, "init_weights": True}
    if model.arch.startswith("vit_"):
        return {"image_size": model.side}
    if model.arch.startswith("maxvit"):
        return {"input_size": (model.side, model.side)}
    return {}
