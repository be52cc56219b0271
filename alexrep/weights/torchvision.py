"""Weights that torchvision offers: their file, and how they want their images.

Nothing is downloaded: a file lies in the cache of torch's hub, or is named.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alexrep.config.input import Colour, MeanStd
from alexrep.errors import ConfigError, DataError, mismatch, suggestion
from alexrep.feed.preparation import ResizeAndCrop
from alexrep.models.torchvision import names
from alexrep.weights.state_dicts import DIGEST

PREFIX = "torchvision:"
"""What names begin with: `torchvision:resnet50`, `torchvision:resnet50:IMAGENET1K_V2`."""
TRANSFORMED = ("googlenet", "inception_v3")
"""Networks whose weights were made with other numbers for the input, which they bring to it."""


@dataclass(frozen=True)
class Preparation(ResizeAndCrop):
    """How the weights of a network were scored by those who offer them."""

    mean: Colour
    """Subtracted from pixels in [0, 1], RGB."""
    deviation: Colour
    """What the rest is divided by."""


@dataclass(frozen=True)
class Offered:
    """Weights that torchvision offers."""

    name: str
    """As `torchvision:resnet50:IMAGENET1K_V1`."""
    arch: str
    file: str
    """Name of the file."""
    digest: str
    """Hexadecimal digits that its SHA-256 begins with."""
    preparation: Preparation

    def find(self, path: Path | None = None) -> Path:
        """Return the file of the weights: `path`, or that in the cache of torch's hub.

        Raises:
            DataError: If it is not there.
        """
        found = path or Path(torch.hub.get_dir()) / "checkpoints" / self.file
        if not found.is_file():
            advice = f"put {self.file} there, or name the file (alexrep import: with --file)"
            raise DataError(mismatch(self.name, f"the file {found}", "none", advice))
        return found


def offered(name: str) -> Offered:
    """Return what torchvision offers under a name.

    Args:
        name: `torchvision:`, a network, and, if wanted, the name of weights after a colon;
            IMAGENET1K_V1, or the first there are, if not.

    Raises:
        ConfigError: If torchvision has no such network or weights.
    """
    from torchvision import models  # noqa: PLC0415 (takes a second, and few runs need it)

    arch, _, which = name.removeprefix(PREFIX).partition(":")
    if arch not in (known := names()):
        advice = suggestion(arch, known, 0.5) or "see alexrep models 'torchvision:*'"
        raise ConfigError(mismatch(name, "a network of torchvision", repr(arch), advice))
    weights = models.get_model_weights(arch)
    kinds = [one.name for one in weights]
    if which not in ("", "DEFAULT", *kinds):
        wanted = f"weights {' or '.join(['DEFAULT', *kinds])} of {arch}"
        raise ConfigError(mismatch(name, wanted, repr(which), "name one of these"))
    chosen: Any = weights[which or kinds[0]]
    file = chosen.url.rpartition("/")[2]
    digest = DIGEST.search(file)
    return Offered(
        f"{PREFIX}{arch}:{chosen.name}",
        arch,
        file,
        digest[1] if digest else "",
        _preparation(chosen.transforms()),
    )


def settings(arch: str, preparation: Preparation) -> dict[str, dict[str, Any]]:
    """Return the groups `model` and `input` of a recipe for a network and its preparation."""
    model: dict[str, Any] = {"name": "torchvision", "arch": arch, "side": preparation.side}
    if arch in TRANSFORMED:
        model["arguments"] = {"transform_input": True}
    return {"model": model, "input": input_of(preparation).model_dump()}


def input_of(preparation: Preparation) -> MeanStd:
    """Return a recipe's input for a preparation."""
    numbers = {"mean": preparation.mean, "deviation": preparation.deviation}
    return MeanStd.model_validate({"kind": "mean-std", **numbers})


def _preparation(transforms: Any) -> Preparation:  # noqa: ANN401 (torchvision does not say)
    """Read the numbers of torchvision's own preparation of an image."""
    (resize,), (side,) = transforms.resize_size, transforms.crop_size
    mean, deviation = (tuple(map(float, each)) for each in (transforms.mean, transforms.std))
    return Preparation(resize, side, transforms.interpolation.value, mean, deviation)  # type: ignore[arg-type]
